package paging

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
)

// gap follows a list that is longer than the memory, with one of the records at each end of
// what was returned staying.
func (h *history) gap() string {
	h.profile.wipe, h.profile.purge, h.profile.late, h.pages, h.limit = 0, 0, 0, 1, 10+h.dice.IntN(30)
	h.untimed = h.dice.IntN(2) == 0
	h.list, h.ever, h.edge = nil, nil, 0
	h.add(1000 + h.dice.IntN(1000))
	r := h.reader("")
	r.memory.full = 300 + h.dice.IntN(200) // more than what changes at once
	left := h.left
	for round := 0; round < 6; round++ {
		h.left = 0
		if round > 0 {
			if h.untimed && !h.pin() {
				return ""
			}
			h.left = min(left, 5)
			for range h.dice.IntN(4) {
				h.move()
			}
		}
		if round == 5 {
			h.left = 0
		}
		if u := h.read(r, true, -1); u.err != nil && !errors.Is(u.err, errDown) {
			return u.err.Error()
		}
	}
	return h.wrong(func(r *record) bool { return r.late == 0 })
}

// A block whose middle was forgotten is known by its ends.
func TestGap(t *testing.T) {
	for _, deletions := range []bool{false, true} {
		t.Run(fmt.Sprintf("deletions %t", deletions), func(t *testing.T) {
			many(t, *histories/10, func(seed uint64) (fmt.Stringer, string) {
				h := newHistory(seed, deletions)
				return h, h.gap()
			})
		})
	}
}

// The list of jobs has no creation times: once its oldest are deleted, what is left was read.
func TestGapUntimed(t *testing.T) {
	many(t, *histories/10, func(seed uint64) (fmt.Stringer, string) {
		h := newHistory(seed, false)
		dice := rand.New(rand.NewPCG(seed, 9))
		h.untimed, h.newest, h.left, h.pages, h.clamp, h.limit = true, false, 0, 1, 0, 20+dice.IntN(80)
		h.list, h.ever, h.edge = nil, nil, 0
		h.add(1000 + dice.IntN(1000))
		r := h.reader("")
		r.memory.full = 150 + dice.IntN(150)
		for range 4 {
			if u := h.read(r, true, -1); u.err != nil {
				return h, u.err.Error()
			}
			h.expire(dice.IntN(60))
			h.add([]int{0, 10, 60}[dice.IntN(3)])
		}
		return h, h.wrong(func(r *record) bool { return r.since == 0 })
	})
}

// Without creation times, a list that is shorter than what was read was read to its end, but for what was
// added in front.
func TestResumeOfAShorterList(t *testing.T) {
	many(t, *histories/10, func(seed uint64) (fmt.Stringer, string) {
		h := newHistory(seed, false)
		h.untimed, h.newest, h.left, h.pages, h.clamp, h.limit = true, true, 0, 1, 0, 10+h.dice.IntN(90)
		h.list, h.ever, h.edge = nil, nil, 0
		h.add(100 + h.dice.IntN(200))
		r := h.reader("")
		if _, err := h.stopAt(r, 1000); err != nil {
			return h, err.Error()
		}
		h.expire(len(h.list) - 20 - h.dice.IntN(30))
		h.add(h.dice.IntN(40))
		if _, err := h.stopAt(h.reader(r.Cursor(0)), 1000); err != nil {
			return h, err.Error()
		}
		return h, h.wrong(func(*record) bool { return true })
	})
}

// A late record is found although so many were deleted between two rounds that it stands before the page
// that is asked for first.
func TestLateRecordAfterDeletions(t *testing.T) {
	many(t, *histories/10, func(seed uint64) (fmt.Stringer, string) {
		h := newHistory(seed, false)
		h.newest, h.left, h.pages, h.clamp, h.limit = false, 0, 1, 0, 2*late+h.dice.IntN(60)
		h.list, h.ever, h.edge = nil, nil, 0
		h.add(100 + h.dice.IntN(100))
		r := h.reader("")
		for range 2 {
			if u := h.read(r, true, -1); u.err != nil {
				return h, u.err.Error()
			}
			first := 32 + h.dice.IntN(20) // neither end of the list tells of the deletion
			h.remove(func(i int, _ *record) bool { return i >= first && i < first+15 })
			h.addLate(1 + h.dice.IntN(15))
		}
		if u := h.read(r, true, -1); u.err != nil {
			return h, u.err.Error()
		}
		return h, h.wrong(func(*record) bool { return true })
	})
}
