package paging

import (
	"context"
	"fmt"
	"slices"
	"testing"
)

func TestExtend(t *testing.T) {
	for _, tt := range []struct {
		name                    string
		end, known, fresh, want []uint64
	}{
		{"first page", nil, []uint64{1, 2}, []uint64{1, 2}, []uint64{1, 2}},
		{"next page", []uint64{1, 2}, []uint64{2, 3}, []uint64{3}, []uint64{1, 2, 3}},
		{"the outermost was deleted", []uint64{1, 2, 3}, []uint64{2, 4}, []uint64{4}, []uint64{1, 2, 3, 4}},
		{"all were deleted", []uint64{1, 2}, []uint64{5, 6}, []uint64{6}, []uint64{1, 2, 5, 6}},
		{"a late one", []uint64{1, 2, 3}, []uint64{2, 9, 3}, []uint64{9}, []uint64{1, 2, 9, 3}},
		{"a late one that seemed to be the outermost", []uint64{1, 2, 3, 9}, []uint64{1, 9, 2}, nil, []uint64{1, 9, 2, 3}},
		{"a page further inside", []uint64{7, 8}, []uint64{1, 2}, nil, []uint64{7, 8}},
		{"a late one further inside", []uint64{7, 8}, []uint64{1, 9, 2}, []uint64{9}, []uint64{7, 8}},
	} {
		if got := extend(tt.end, tt.known, tt.fresh); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// In a list that stands still, records that are equal in all that a mark is made of are different ones, also
// from a cursor on.
func TestEqualRecords(t *testing.T) {
	const size = 300
	for _, equal := range [][2]int{{180, 230}, {195, 215}, {99, 130}} {
		fetch := func(_ context.Context, ask Ask) (f Fetched[[]int], err error) {
			end := min(ask.Offset+ask.Limit, size)
			for i := ask.Offset; i < end; i++ {
				id := i
				if i >= equal[0] && i < equal[1] {
					id = equal[0]
				}
				f.Page, f.Marks = append(f.Page, i), append(f.Marks, Mark{ID: uint64(id) + 1})
			}
			f.Claims = Claims{Total: size, More: end < size, Ends: end == size}
			return f, nil
		}
		for _, limit := range []int{25, 100} {
			for stop := 1; stop < size; stop++ {
				var came []int
				cursor := ""
				for _, most := range []int{stop, size} {
					r, err := New(Settings{List: "list", Limit: limit, Pages: 1, Cursor: cursor, Errorf: fmt.Errorf}, fetch)
					if err != nil {
						t.Fatal(err)
					}
					if err := r.Read(t.Context(), false, func(page []int, fresh []int) bool {
						for i, k := range fresh {
							if len(came) == most {
								cursor = r.Cursor(len(fresh) - i)
								return false
							}
							came = append(came, page[k])
						}
						return true
					}); err != nil {
						t.Fatal(err)
					}
				}
				if !slices.Equal(came, indexes(0, size)) {
					t.Fatalf("equal %v, limit %d, stop at %d: %d of %d came", equal, limit, stop, len(came), size)
				}
			}
		}
	}
}
