//go:build soak && go1.25

package epcclogs_test

import (
	"testing"
	"testing/synctest"
)

// The properties of moving lists, over thousands of seeds. -moving.start 0 takes others at
// each run, to look for new failures.
func TestSoakMovingList(t *testing.T) {
	histories(t, nil, 10**movingSeeds, func(t *testing.T, seed uint64) { newHistory(t, seed).drain() })
}

func TestSoakMovingListFollow(t *testing.T) {
	histories(t, nil, 5**movingSeeds, func(t *testing.T, seed uint64) {
		synctest.Test(t, func(t *testing.T) { newHistory(t, seed).follow() })
	})
}
