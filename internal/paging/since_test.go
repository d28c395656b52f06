package paging

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"testing"
	"time"
)

// clocks are how creation times run along a list.
var clocks = []struct {
	name    string
	ordered bool // give or take 15 places
	at      func(dice *rand.Rand, place float64) time.Time
}{
	{"exact", true, func(_ *rand.Rand, place float64) time.Time { return time.Unix(1e9, int64(1e9*place)) }},
	{"late ones", true, func(dice *rand.Rand, place float64) time.Time {
		if dice.IntN(5) == 0 {
			place += 15 * (2*dice.Float64() - 1)
		}
		return time.Unix(1e9, int64(1e9*place))
	}},
	{"whole minutes", false, func(_ *rand.Rand, place float64) time.Time { return time.Unix(1e9+int64(place)/60*60, 0) }},
	{"all equal", false, func(*rand.Rand, float64) time.Time { return time.Unix(1e9, 0) }},
	{"missing", false, func(*rand.Rand, float64) time.Time { return time.Time{} }},
	{"some missing in front", false, func(_ *rand.Rand, place float64) time.Time {
		if int(place)%3 == 1 {
			return time.Time{}
		}
		return time.Unix(1e9, int64(1e9*place))
	}},
}

// sinceHistory is a list that moves a little, and a time within it, or beside it.
func sinceHistory(seed uint64) (h *history, ordered, still bool) {
	h = newHistory(seed, false)
	h.profile = profiles[h.dice.IntN(3)] // still, calm, steady
	clock := clocks[h.dice.IntN(2*len(clocks))/2]
	h.profile.name += ", times " + clock.name
	h.clock = func(place float64) time.Time { return clock.at(h.dice, place) }
	size := len(h.list)
	switch h.dice.IntN(60) {
	case 0:
		size = h.dice.IntN(100_000)
	case 1, 2, 3, 4, 5, 6:
		size = h.dice.IntN(5_000)
	}
	h.list, h.ever, h.edge = nil, nil, 0
	h.add(size)
	h.from = time.Unix(1e9+int64(h.dice.IntN(size+200)-100), 0)
	still = h.profile.at == 0
	return h, clock.ordered, still
}

func (h *history) wantedRecord(r *record) bool { return r.at.IsZero() || !r.at.Before(h.from) }

func (h *history) since(ordered, still bool) string {
	whole := 1 + (len(h.list)-2)/max(1, h.length()-1)
	wanted := 0
	for _, r := range h.list {
		if h.wantedRecord(r) {
			wanted++
		}
	}
	r := h.reader("")
	for over := false; !over; {
		most := -1
		if h.dice.IntN(4) == 0 {
			most = h.dice.IntN(1 + len(h.list))
		}
		u := h.read(r, false, most)
		if u.err != nil && !errors.Is(u.err, errDown) {
			return u.err.Error()
		}
		over = u.over
	}
	for _, r := range h.ever {
		if h.returned[r.id] > 0 && !h.wantedRecord(r) {
			return fmt.Sprintf("record %d is too old", r.id)
		}
	}
	if problem := h.wrong(func(r *record) bool { return r.since == 0 && h.wantedRecord(r) }); problem != "" {
		return problem
	}
	step := max(1, h.length()-1)
	most := 2*bits.Len(uint(whole)) + 6 + wanted/step + 2*2*late/step + h.pages
	if h.envelope != "meta" && h.envelope != "nested" && h.envelope != "results" {
		most += bits.Len(uint(whole)) + 2
	}
	if still && ordered && h.length() > 1 && h.requests > most {
		return fmt.Sprintf("%d requests, more than %d, for %d of %d records", h.requests, most, wanted, len(h.list))
	}
	return ""
}

// Since returns exactly the records that were created then or later, and reads everything only
// where the creation times demand it.
func TestSince(t *testing.T) {
	many(t, *histories, func(seed uint64) (fmt.Stringer, string) {
		h, ordered, still := sinceHistory(seed)
		return h, h.since(ordered, still)
	})
}

// sinceAndResume reads with several readers, each of which goes on at the cursor of the one
// before; some know the time from the cursor alone.
func (h *history) sinceAndResume() string {
	h.pages, h.profile.late, h.profile.wipe = 1, 0, 0
	h.from = time.Unix(1_700_000_000+int64(h.dice.IntN(len(h.list)+100)-50), 0)
	from, cursor := h.from, ""
	for stops := 1 + h.dice.IntN(4); ; stops-- {
		if cursor != "" && h.dice.IntN(3) == 0 {
			h.from = time.Time{}
		}
		r := h.reader(cursor)
		h.from = from
		begun, most := h.requests, math.MaxInt
		if stops > 0 {
			most = h.dice.IntN(1 + len(h.list))
		}
		next, err := h.stopAt(r, most)
		if err != nil {
			return err.Error()
		}
		if next == "" {
			if problem := h.wrong(func(r *record) bool { return r.late == 0 && r.since <= begun && h.wantedRecord(r) }); problem != "" || stops <= 0 {
				return problem
			}
			next = r.Cursor(0)
		}
		cursor = next
		for range h.dice.IntN(3) {
			h.move()
		}
	}
}

// So it does from a cursor on.
func TestSinceAndResume(t *testing.T) {
	many(t, *histories, func(seed uint64) (fmt.Stringer, string) {
		h := newHistory(seed, seed%2 == 0)
		return h, h.sinceAndResume()
	})
}
