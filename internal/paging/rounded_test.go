package paging

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

// A server that rounds offsets to whole pages.
func TestRoundedOffsets(t *testing.T) {
	for _, claims := range []string{"bare", "total", "links"} {
		for _, newest := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, newest first %t", claims, newest), func(t *testing.T) {
				size, requests := 400, 0
				fetch := func(_ context.Context, ask Ask) (f Fetched[[]int], err error) {
					if requests++; requests > 300 {
						return f, errors.New("too many requests")
					}
					from := min(ask.Offset/100*100, size)
					for i := from; i < min(from+100, size); i++ {
						id := i
						if newest {
							id = size - 1 - i
						}
						f.Page = append(f.Page, id)
						f.Marks = append(f.Marks, Mark{uint64(id) + 1, time.Unix(1e9+int64(id), 0)})
					}
					more := from+100 < size
					switch claims {
					case "total":
						f.Claims = Claims{Total: size, More: more, Ends: !more}
					case "links":
						f.Claims = Claims{More: more, Ends: !more}
					}
					return f, nil
				}
				read := func(s Settings, follow bool, grow int) {
					s.Limit, s.Pages, s.Errorf = 100, 1, fmt.Errorf
					r, err := New(s, fetch)
					if err != nil {
						t.Fatal(err)
					}
					came := map[int]int{}
					size, requests = 400, 0
					for _, n := range []int{0, grow, 0} {
						size += n
						if err := r.Read(t.Context(), follow, func(page []int, fresh []int) bool {
							for _, k := range fresh {
								came[page[k]]++
							}
							return true
						}); err != nil {
							t.Error(err, "after", requests)
						}
					}
					for id := range size {
						wanted := s.Since.IsZero() || !time.Unix(1e9+int64(id), 0).Before(s.Since)
						if n := came[id]; wanted && n != 1 || !wanted && n > 0 {
							t.Fatalf("record %d came %d times, %d requests", id, n, requests)
						}
					}
					t.Log(requests)
				}
				read(Settings{Since: time.Unix(1e9+350, 0)}, false, 0)
				for _, n := range []int{10, 100, 150, 350} {
					read(Settings{}, true, n)
				}
			})
		}
	}
}
