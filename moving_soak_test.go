//go:build soak && go1.25

package epcclogs_test

import (
	"testing"
	"testing/synctest"
)

// The properties of moving lists, over many more seeds.
func TestSoakMovingList(t *testing.T) {
	histories(t, 50**movingSeeds, func(t *testing.T, seed uint64) { newHistory(t, seed).drain() })
}

func TestSoakMovingListFollow(t *testing.T) {
	histories(t, 40**movingSeeds, func(t *testing.T, seed uint64) {
		synctest.Test(t, func(t *testing.T) { newHistory(t, seed).follow() })
	})
}
