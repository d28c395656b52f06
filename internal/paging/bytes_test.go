package paging

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
)

// A server that limits pages by bytes, so that they get shorter where records are big, and a list
// that loses its first records now and then.
func TestPagesOfBytes(t *testing.T) {
	for _, claims := range []string{"bare", "total", "links"} {
		many(t, *histories/3, func(seed uint64) (fmt.Stringer, string) {
			dice := rand.New(rand.NewPCG(seed, 3))
			bytes := make([]int, 300+dice.IntN(1500))
			for i, mean := 0, 1; i < len(bytes); i++ {
				if dice.IntN(60) == 0 {
					mean = 1 + dice.IntN(1+dice.IntN(12))
				}
				bytes[i] = mean + dice.IntN(mean)
			}
			first, left, deletions, every := 0, 1+dice.IntN(30), 20, []int{3, 10, 30}[dice.IntN(3)]
			fetch := func(_ context.Context, ask Ask) (f Fetched[[]int], err error) {
				if deletions > 0 && dice.IntN(every) == 0 && len(bytes)-first > left {
					deletions--
					first += 1 + dice.IntN(left)
				}
				id := first + ask.Offset
				for sum := 0; id < len(bytes) && len(f.Page) < ask.Limit; id++ {
					if sum += bytes[id]; sum > 100 && len(f.Page) > 0 {
						break
					}
					f.Page = append(f.Page, id)
					f.Marks = append(f.Marks, Mark{ID: uint64(id) + 1})
				}
				if more := id < len(bytes); claims != "bare" {
					f.Claims = Claims{More: more, Ends: !more}
				}
				if claims == "total" {
					f.Claims.Total = len(bytes) - first
				}
				return f, nil
			}
			r, err := New(Settings{Limit: 100, Pages: 1, Errorf: fmt.Errorf}, fetch)
			if err != nil {
				return nil, err.Error()
			}
			came := map[int]int{}
			err = r.Read(t.Context(), false, func(page []int, fresh []int) bool {
				for _, k := range fresh {
					came[page[k]]++
				}
				return true
			})
			if err != nil {
				return nil, claims + ": " + err.Error()
			}
			for id := range bytes {
				if n := came[id]; n > 1 || n == 0 && id >= first {
					return nil, fmt.Sprintf("%s: record %d came %d times", claims, id, n)
				}
			}
			return nil, ""
		})
	}
}
