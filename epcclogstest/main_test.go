package epcclogstest_test

import (
	"testing"

	"go.uber.org/goleak"
)

// No test, and no server that was closed, leaves a goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
