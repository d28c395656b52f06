package movinglist_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/internal/wire"
)

// fuzzInput is read byte by byte; zeros follow its end.
type fuzzInput []byte

func (in *fuzzInput) upTo(n int) int {
	if len(*in) == 0 {
		return 0
	}
	b := int((*in)[0])
	*in = (*in)[1:]
	return b % (n + 1)
}

// fuzzServer answers as the input says.
type fuzzServer struct {
	mu       sync.Mutex
	input    *fuzzInput
	list     wire.List
	honest   bool // the answers are those of the list, with pages that may be uneven
	uneven   bool
	faults   int // how many more there may be
	requests int
	most     int // requests, until all answers are empty
}

var errWire = errors.New("wire broke")

func (f *fuzzServer) answer(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.requests++; f.requests > f.most {
		return wire.OK(wire.Page())(r)
	}
	body := ""
	if f.honest {
		list := f.list
		if f.uneven {
			list.Clamp = 1 + f.input.upTo(f.list.Clamp-1)
		}
		body = list.Write(list.Ask(r))
	} else {
		body = f.odd(r)
	}
	if f.faults > 0 && f.input.upTo(3) == 3 {
		f.faults--
		return []wire.Step{
			wire.Reply(503, body),
			wire.Reply(500, `{"errors":[{"title":"Internal Server Error"}]}`),
			wire.Break(errWire),
			wire.OK(body[:f.input.upTo(len(body)-1)]),
			wire.OK(""),
		}[f.input.upTo(4)](r)
	}
	return wire.OK(body)(r)
}

// odd returns any page, or what is none.
func (f *fuzzServer) odd(r *http.Request) string {
	offset, _ := wire.Asked(r)
	number := func() int {
		return []int{0, 1, 2, 3, offset, offset + 1, 20, 100, -1, math.MaxInt/2 + 1}[f.input.upTo(9)]
	}
	from := min([]int{offset, offset, 0, f.input.upTo(99)}[f.input.upTo(3)], len(f.list.All))
	q := wire.Question{Data: f.list.All[from:min(from+f.input.upTo(6), len(f.list.All))]}
	shows := f.input.upTo(255)
	members := []string{fmt.Sprintf(`"shows":%d`, shows)}
	if shows&1 != 0 {
		members = append(members, fmt.Sprintf(`"meta":{"limit":%d,"offset":%d,"current":%d,"total":%d}`,
			number(), []int{offset, 0, number()}[f.input.upTo(2)], number(), number()))
	}
	if shows&2 != 0 {
		members = append(members, fmt.Sprintf(`"results":{"total":%d}`, number()))
	}
	if shows&4 != 0 {
		next := []string{"", "/a", "/b", fmt.Sprint(offset), `\u0000 ://`}[f.input.upTo(4)]
		members = append(members, fmt.Sprintf(`"links":{"next":"%s"}`, next))
	}
	if shows&8 != 0 {
		q.Data = slices.Repeat(q.Data, 2)
	}
	if shows&0xf0 == 0xf0 {
		return []string{`{}`, `[`, `{"data":null}`, `{"data":[null]}`, `{"data":[{}]}`, `<html>`}[f.input.upTo(5)]
	}
	return q.With("%s", strings.Join(members, ","))
}

// FuzzPager drives a pager with a server that the input makes up. Whatever the
// server does, the pager ends, and all errors are of the documented kinds; of an
// honest server it returns every record once, in order.
func FuzzPager(f *testing.F) {
	for envelope := range len(wire.Envelopes) {
		for style := range 4 {
			for honest := range 2 {
				e, s, h := byte(envelope), byte(style), byte(honest)
				f.Add([]byte{h, e, 60, 0, 10, 0, s, 0, 29})
				f.Add([]byte{h, e, 47, 7, 20, 2, s, 1, 4, 1, 3, 0, 3, 1, 3, 2, 3, 3, 3, 4, 7, 2, 1})
				f.Add([]byte{h, e, 63, 0, 99, 3, s, 4, 6, 2, 1, 3, 4, 3, 2, 1, 6, 5, 9, 8, 255, 3, 1, 240, 15})
			}
		}
	}
	f.Add([]byte{0, 0, 60, 0, 10, 0, 0, 0, 0, 1})      // silently one a page
	f.Add([]byte{0, 0, 60, 0, 0, 0, 0, 0, 7, 2, 0, 0}) // pages cut to the overlap
	f.Fuzz(func(t *testing.T, data []byte) {
		in := (*fuzzInput)(&data)
		attempts := 1 + len(data)%9/8 // mostly one, as a retry costs a millisecond: the pager is used again
		honest := in.upTo(1) == 0
		names := slices.Sorted(maps.Keys(wire.Envelopes))
		write := wire.Envelopes[names[in.upTo(len(names)-1)]]
		size, start, limit := in.upTo(64), in.upTo(70), in.upTo(100)
		n, style, every := []int{1, 1, 2, 5}[in.upTo(3)], in.upTo(3), 1+in.upTo(20)
		server := &fuzzServer{input: in, honest: honest, faults: 3, most: 40, list: wire.List{All: wire.Records(0, 100)}}
		if honest {
			server.list = wire.List{All: wire.Records(0, size), Write: write, Clamp: 1 + in.upTo(29), Silent: in.upTo(1) == 1}
			server.uneven, server.most = in.upTo(2) == 2, 3000
		}
		c := clientOf(t, wire.Step(server.answer), epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: attempts, MaxWait: time.Nanosecond}))
		newPager := func(offset int) *epcclogs.Pager[epcclogs.IntegrationLog] {
			return c.IntegrationLogs(wire.Integration, &epcclogs.ListOptions{Limit: limit, Offset: offset}).Concurrent(n)
		}
		pager := newPager(start)
		var got []string
		for over, failed := false, 0; !over && failed < 4; {
			more, err := use(t, pager, style, every)
			got = append(got, more...)
			switch {
			case errors.Is(err, errLeft):
			case err != nil:
				failed++
				require.True(t, documented(err, honest), "%T %v", err, err)
			default:
				over = true
				before := server.requests
				more, err := use(t, pager, 0, 0)
				require.NoError(t, err)
				require.Empty(t, more, "after the end")
				require.Equal(t, before, server.requests, "after the end")
			}
			if !honest {
				over = over || server.requests > server.most
				continue
			}
			if start <= size {
				require.Equal(t, start+len(got), pager.Offset())
			}
			if style == 3 && !over {
				pager = newPager(pager.Offset())
			}
		}
		require.LessOrEqual(t, server.requests, server.most+1000) // of an odd server, searches included
		if honest {
			require.Equal(t, wire.Bodies(start, size), got)
			require.LessOrEqual(t, server.requests, server.most)
		}
	})
}

// errLeft is what use returns when it left the loop.
var errLeft = errors.New("left")

// use uses the pager once: All whole (0), All with a break (1, 3), Pages (2).
func use(t *testing.T, pager *epcclogs.Pager[epcclogs.IntegrationLog], style, every int) (got []string, err error) {
	t.Helper()
	if style == 2 {
		for page, err := range pager.Pages(t.Context()) {
			if err != nil {
				return got, err
			}
			for _, log := range page.Data {
				got = append(got, log.Body)
			}
		}
		return got, nil
	}
	for log, err := range pager.All(t.Context()) {
		if err != nil {
			return got, err
		}
		if got = append(got, log.Body); style != 0 && len(got) == every {
			return got, errLeft
		}
	}
	return got, nil
}

// documented reports whether a pager may end with err.
func documented(err error, honest bool) bool {
	return !honest && errors.Is(err, epcclogs.ErrPagination) || errors.Is(err, errWire) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.As(err, new(*epcclogs.APIError)) || errors.As(err, new(*epcclogs.DecodeError))
}
