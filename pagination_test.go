package epcclogs_test

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/internal/wire"
)

// bodies drains a sequence of logs, and returns their bodies, by which the
// records of these tests are told apart, and the error that ended it.
func bodies(logs iter.Seq2[epcclogs.IntegrationLog, error]) (got []string, err error) {
	for log, err := range logs {
		if err != nil {
			return got, err
		}
		got = append(got, log.Body)
	}
	return got, nil
}

// exhaust drains a pager.
func exhaust[T any](ctx context.Context, p *epcclogs.Pager[T]) error {
	for _, err := range p.All(ctx) {
		if err != nil {
			return err
		}
	}
	return nil
}

// pagerOf returns a pager that gets n pages at a time, and what the server is asked.
func pagerOf(t testing.TB, server wire.Step, n int, opts *epcclogs.ListOptions) (*epcclogs.Pager[epcclogs.IntegrationLog], *wire.Script) {
	t.Helper()
	s := wire.Steps(server)
	return clientOf(t, s).IntegrationLogs(integration, opts).Concurrent(n), s
}

func TestPages(t *testing.T) {
	for name, write := range wire.Envelopes {
		for _, size := range []int{30, 31, 430} {
			for _, n := range []int{1, 4} {
				t.Run(fmt.Sprintf("%s/%d/%d at a time", name, size, n), func(t *testing.T) {
					list := wire.List{All: wire.Records(0, size), Write: write}
					pager, _ := pagerOf(t, list.Answer, n, &epcclogs.ListOptions{Offset: 30, Limit: 40})
					next := 30
					for page, err := range pager.Pages(t.Context()) {
						require.NoError(t, err)
						require.NotEmpty(t, page.Data)
						if page.Meta != nil {
							require.Equal(t, next, page.Meta.Offset)
						}
						for _, log := range page.Data {
							require.Equal(t, strconv.Itoa(next), log.Body)
							next++
						}
						require.Equal(t, next, pager.Offset())
					}
					assert.Equal(t, size, next)
				})
			}
		}
	}
}

// The rest of a page that All has begun says where it begins, if its server says so.
func TestPagesAfterAll(t *testing.T) {
	for name, write := range wire.Envelopes {
		for _, offset := range []int{0, 5} {
			for _, read := range []int{3, 25} {
				pager, _ := pagerOf(t, wire.List{All: wire.Records(0, 60), Write: write}.Answer, 1, &epcclogs.ListOptions{Offset: offset, Limit: 20})
				left := read
				for _, err := range pager.All(t.Context()) {
					require.NoError(t, err)
					if left--; left == 0 {
						break
					}
				}
				next := offset + read
				for page, err := range pager.Pages(t.Context()) {
					require.NoError(t, err)
					require.Equal(t, strconv.Itoa(next), page.Data[0].Body)
					if page.Meta != nil {
						require.Equal(t, next, page.Meta.Offset, "%s, from %d, after %d", name, offset, read)
					}
					next += len(page.Data)
				}
				require.Equal(t, 60, next)
			}
		}
	}
}

// The caller may do to a page what it likes: a repeat is still seen.
func TestPagesBelongToTheCaller(t *testing.T) {
	pager, _ := pagerOf(t, wire.OK(wire.Page(wire.Records(0, 100)...)), 1, nil)
	pages := 0
	for page, err := range pager.Pages(t.Context()) {
		require.NoError(t, err)
		clear(page.Data)
		pages++
	}
	assert.Equal(t, 1, pages)
}

// After an error the next loop asks for the page that failed, also when the paging
// itself failed.
func TestErrorKeepsThePlace(t *testing.T) {
	for kind, failure := range map[error]wire.Step{
		epcclogs.ErrForbidden:  wire.Reply(403, ""),
		epcclogs.ErrPagination: wire.OK(`{"data":[` + wire.Record(0) + `],"meta":{"offset":1}}`),
	} {
		for name, write := range wire.Envelopes {
			for _, n := range []int{1, 6} {
				t.Run(fmt.Sprintf("%v/%s/%d at a time", kind, name, n), func(t *testing.T) {
					list := wire.List{All: wire.Records(0, 890), Write: write}
					var works atomic.Bool
					pager, s := pagerOf(t, func(r *http.Request) (*http.Response, error) {
						if offset, _ := wire.Asked(r); offset >= 350 && !works.Load() {
							return failure(r)
						}
						return list.Answer(r)
					}, n, nil)
					got, err := bodies(pager.All(t.Context()))
					require.ErrorIs(t, err, kind)
					assert.Equal(t, wire.Bodies(0, 397), got)
					assert.Equal(t, 397, pager.Offset())

					before := len(s.Sent())
					_, err = bodies(pager.All(t.Context()))
					require.ErrorIs(t, err, kind)
					assert.Greater(t, len(s.Sent()), before, "it asks again")

					works.Store(true)
					got, err = bodies(pager.All(t.Context()))
					require.NoError(t, err)
					assert.Equal(t, wire.Bodies(397, 890), got)
					assert.Equal(t, 890, pager.Offset())
				})
			}
		}
	}
}

// A loop that was left goes on with the next record, within its page and across the
// ways to use a pager, until the pager is used up.
func TestPagerKeepsItsPlace(t *testing.T) {
	for name, write := range wire.Envelopes {
		t.Run(name, func(t *testing.T) {
			list := wire.List{All: wire.Records(0, 250), Write: write}
			pager, s := pagerOf(t, list.Answer, 1, nil)
			assert.Empty(t, s.Sent(), "nothing is sent before use")
			var got []string
			for log, err := range pager.All(t.Context()) {
				require.NoError(t, err)
				if got = append(got, log.Body); len(got) == 137 {
					break
				}
			}
			assert.Equal(t, wire.Bodies(0, 137), got)
			assert.Equal(t, 137, pager.Offset())

			other, _ := pagerOf(t, list.Answer, 1, &epcclogs.ListOptions{Offset: pager.Offset()})
			more, err := bodies(other.All(t.Context()))
			require.NoError(t, err)
			assert.Equal(t, wire.Bodies(137, 250), more, "a new pager")

			for page, err := range pager.Pages(t.Context()) {
				require.NoError(t, err)
				assert.Equal(t, "137", page.Data[0].Body)
				assert.Len(t, page.Data, 199-137)
				break
			}
			assert.Equal(t, 199, pager.Offset())
			more, err = bodies(pager.All(t.Context()))
			require.NoError(t, err)
			assert.Equal(t, wire.Bodies(199, 250), more)

			before := len(s.Sent())
			more, err = bodies(pager.All(t.Context()))
			require.NoError(t, err)
			assert.Empty(t, more, "used up")
			for page, err := range pager.Pages(t.Context()) {
				t.Error("used up", page, err)
			}
			assert.Len(t, s.Sent(), before)
		})
	}
}

// A context that ends is seen before the next page is asked for, and a nil one before
// the next record.
func TestPagerAndItsContext(t *testing.T) {
	list := wire.List{All: wire.Records(0, 300), Write: wire.Envelopes["meta"]}
	pager, s := pagerOf(t, list.Answer, 1, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, err := range pager.All(ctx) {
		require.NoError(t, err)
		cancel()
		break
	}
	got, err := bodies(pager.All(noContext))
	require.ErrorIs(t, err, epcclogs.ErrInvalidArgument)
	assert.Empty(t, got)
	for page, err := range pager.Pages(noContext) {
		assert.Nil(t, page)
		require.ErrorIs(t, err, epcclogs.ErrInvalidArgument)
	}
	got, err = bodies(pager.All(ctx))
	require.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, wire.Bodies(1, 100), got, "the rest of the page that was there")
	assert.Len(t, s.Sent(), 1)
	got, err = bodies(pager.All(t.Context()))
	require.NoError(t, err)
	assert.Equal(t, wire.Bodies(100, 300), got)
}

// Options that the caller changes later do not move the pager.
func TestPagerCopiesOptions(t *testing.T) {
	list := wire.List{All: wire.Records(0, 29), Write: wire.Envelopes["meta"]}
	opts := &epcclogs.ListOptions{Limit: 10, Offset: 20}
	pager, s := pagerOf(t, list.Answer, 1, opts)
	opts.Limit, opts.Offset = 1, 0
	got, err := bodies(pager.All(t.Context()))
	require.NoError(t, err)
	assert.Equal(t, wire.Bodies(20, 29), got)
	assert.Equal(t, []string{"GET /v2/integrations/" + integration + "/logs?page%5Blimit%5D=10&page%5Boffset%5D=20"}, s.Sent())
}

// Where a store refuses the offset of the newest records, the error says what to do.
func TestSinceBehindTheLastOffset(t *testing.T) {
	list := wire.List{Write: wire.Envelopes["meta"]}
	for n := range 300 {
		list.All = append(list.All, fmt.Sprintf(`{"id":"log-%d","meta":{"timestamps":{"created_at":"2026-01-02T03:04:05.%03dZ"}}}`, n, n))
	}
	since := time.Date(2026, 1, 2, 3, 4, 5, 290e6, time.UTC)
	for status, refuses := range map[int]bool{400: true, 422: true, 401: false, 403: false, 404: false, 501: false} {
		pager, _ := pagerOf(t, func(r *http.Request) (*http.Response, error) {
			if offset, _ := wire.Asked(r); offset > 100 {
				return wire.Reply(status, "")(r)
			}
			return list.Answer(r)
		}, 1, nil)
		err := exhaust(t.Context(), pager.Since(since))
		require.ErrorAs(t, err, new(*epcclogs.APIError))
		require.Equal(t, refuses, strings.Contains(err.Error(), "the lists of single integrations or jobs"), err)
	}
}

// A record without a creation time is returned, whatever the time of Since.
func TestSinceWithoutTimes(t *testing.T) {
	timed := func(at string) string {
		return `{"id":"timed","body":"` + at + `","meta":{"timestamps":{"created_at":"` + at + `"}}}`
	}
	const early, late = "2026-01-01T00:00:00Z", "2026-01-03T00:00:00Z"
	pager, _ := pagerOf(t, wire.OK(wire.Question{Data: []string{wire.Record(1), timed(early), timed(late)}}.With(`"results":{"total":3}`)), 1, nil)
	got, err := bodies(pager.Since(time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)).All(t.Context()))
	require.NoError(t, err)
	require.Equal(t, []string{"1", late}, got)
}

func TestSinceRefuses(t *testing.T) {
	s := wire.Steps(done)
	c, since := clientOf(t, s), time.Now()
	require.ErrorIs(t, exhaust(t.Context(), c.IntegrationJobs(integration, nil).Since(since)), epcclogs.ErrInvalidArgument)
	require.Empty(t, s.Sent())
	pager := c.StoreLogs(nil).Since(time.Time{})
	require.NoError(t, exhaust(t.Context(), pager))
	err := exhaust(t.Context(), pager.Since(since))
	require.ErrorIs(t, err, epcclogs.ErrInvalidArgument)
	require.ErrorContains(t, err, "after the pager was used")
}
