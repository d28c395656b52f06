package paging

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"
)

// A list that loses its oldest records and gets as many new ones while it is read, so many with each
// request. Where that are few, it is read to its end. Where they are too many, the reader goes on while
// something new comes, or says that it cannot.
func TestConveyor(t *testing.T) {
	const size, most = 5000, 5000
	for _, newest := range []bool{false, true} {
		for _, bare := range []bool{false, true} {
			for _, pages := range []int{1, 8} {
				for _, follow := range []bool{false, true} {
					for _, moved := range []int{1, 5, 20, 40, 60, 100, 150} {
						name := fmt.Sprintf("newest first %t, bare %t, %d pages, follow %t, %d a request", newest, bare, pages, follow, moved)
						var mu sync.Mutex
						first, requests, idle := 0, 0, 0
						fetch := func(_ context.Context, ask Ask) (f Fetched[[]int], err error) {
							mu.Lock()
							defer mu.Unlock()
							if requests, idle = requests+1, idle+1; idle > 1500 || requests > most {
								return f, errors.New("too many requests")
							}
							first += moved
							for i := ask.Offset; i < min(ask.Offset+ask.Limit, size); i++ {
								id := first + i
								if newest {
									id = first + size - 1 - i
								}
								f.Page = append(f.Page, id)
								f.Marks = append(f.Marks, Mark{uint64(id) + 1, time.Unix(1e9+int64(id), 0)})
							}
							if more := ask.Offset+ask.Limit < size; !bare {
								f.Claims = Claims{Total: size, More: more, Ends: !more}
							}
							return f, nil
						}
						r, err := New(Settings{Limit: 100, Pages: pages, Errorf: fmt.Errorf}, fetch)
						if err != nil {
							t.Fatal(err)
						}
						came := map[int]bool{}
						for range 3 {
							idle = 0
							err = r.Read(t.Context(), follow, func(page []int, fresh []int) bool {
								mu.Lock()
								defer mu.Unlock()
								idle = 0
								for _, k := range fresh {
									if came[page[k]] {
										t.Errorf("%s: record %d came twice", name, page[k])
									}
									came[page[k]] = true
								}
								return true
							})
							if idle > 1500 {
								t.Errorf("%s: no end after %d requests, %d records", name, requests, len(came))
							}
							slow := moved <= 20 || moved <= 40 && pages == 1 && !bare
							if endless := bare && !newest; err != nil && slow && !endless {
								t.Errorf("%s: %v", name, err)
							}
						}
						t.Logf("%s: %d requests, %d records, %v", name, requests, len(came), err)
					}
				}
			}
		}
	}
}
