package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/epcclogs/epcclogs"
)

// doctor looks at a store.
type doctor struct {
	client   *epcclogs.Client
	trace    *trace
	findings []finding
	skipped  []string // what was not looked at
}

// full is the length of the longest page that the API documents.
const full = 100

// between is the length of a page that shows where a page of 10 records from offset 7 begins.
const between = 7 + 10

// list is one of the API's lists.
type list struct {
	name string
	page func(context.Context, *epcclogs.ListOptions) (*page, error)
}

// page is a page of any list.
type page struct {
	epcclogs.ListOptions // what was asked for
	records              []record
	unread               int // records that cannot be read
	meta                 *epcclogs.PageMeta
	total                int // records of the list; -1 if not sent
	links                *epcclogs.PageLinks
}

// record is what is looked at of a record.
type record struct {
	key, id, job, integration string
	at                        time.Time
}

// length is the number of records that were sent, and end the offset behind them.
func (p *page) length() int { return len(p.records) + p.unread }
func (p *page) end() int    { return p.Offset + p.length() }

// listOf returns a list that gets its pages with get, which sends through t.
func listOf[T any](t *trace, name string, get func(context.Context, *epcclogs.ListOptions) (*epcclogs.Page[T], error), read func(T) record) list {
	return list{name, func(ctx context.Context, opts *epcclogs.ListOptions) (*page, error) {
		got, err := get(ctx, opts)
		if got == nil {
			return nil, err
		}
		p := &page{ListOptions: *opts, meta: got.Meta, total: -1, links: got.Links}
		p.unread = t.notes[len(t.notes)-1].records - len(got.Data)
		if got.Results != nil {
			p.total = got.Results.Total
		}
		for _, r := range got.Data {
			p.records = append(p.records, read(r))
		}
		return p, nil
	}}
}

func readLog(l epcclogs.IntegrationLog) record {
	return record{l.Key(), l.ID, l.JobID(), l.IntegrationID(), l.CreatedAt()}
}

// look looks at everything. Its error is one after which nothing else is looked at.
func (d *doctor) look(ctx context.Context) error {
	defer d.summary()
	some, stop := d.trace.allow(ctx, most-sinceRequests)
	defer stop()
	hooks := d.sample(some, listOf(d.trace, integrations, d.client.ListIntegrations, func(in epcclogs.Integration) record {
		return record{key: in.ID, id: in.ID}
	}))
	if err := hooks.err; d.trace.answered() == 0 || errors.Is(err, epcclogs.ErrUnauthorized) || errors.Is(err, epcclogs.ErrForbidden) {
		d.skip(storeLogs, integrationLogs, integrationJobs, jobLogs)
		return err
	}
	whole := d.sample(some, listOf(d.trace, storeLogs, d.client.ListStoreLogs, readLog))
	if id := busiest(hooks, whole); id != "" {
		d.integration(some, id)
	} else {
		d.skip(integrationLogs, integrationJobs, jobLogs)
	}
	d.reach(some, whole)
	d.since(ctx)
	return nil
}

// busiest returns the id of an integration that has many logs.
func busiest(hooks, whole *sample) (id string) {
	count := make(map[string]int)
	var ids []string
	for _, r := range hooks.records() {
		ids = append(ids, r.id)
	}
	for _, r := range whole.records() {
		count[r.integration]++
		if hooks.err != nil {
			ids = append(ids, r.integration)
		}
	}
	for _, next := range ids {
		if id == "" || count[next] > count[id] {
			id = next
		}
	}
	return id
}

// integration looks at the lists of one integration.
func (d *doctor) integration(ctx context.Context, id string) {
	type logs = epcclogs.Page[epcclogs.IntegrationLog]
	type jobs = epcclogs.Page[epcclogs.IntegrationJob]
	s := d.sample(ctx, listOf(d.trace, integrationLogs, func(ctx context.Context, opts *epcclogs.ListOptions) (*logs, error) {
		return d.client.ListIntegrationLogs(ctx, id, opts)
	}, readLog))
	d.count(s, "records of others", "no", func(r record) bool { return r.integration != id })
	s = d.sample(ctx, listOf(d.trace, integrationJobs, func(ctx context.Context, opts *epcclogs.ListOptions) (*jobs, error) {
		return d.client.ListIntegrationJobs(ctx, id, opts)
	}, func(j epcclogs.IntegrationJob) record { return record{key: j.ID, id: j.ID} }))
	found := s.records()
	if len(found) == 0 {
		d.skip(jobLogs)
		return
	}
	job := found[0].id
	s = d.sample(ctx, listOf(d.trace, jobLogs, func(ctx context.Context, opts *epcclogs.ListOptions) (*logs, error) {
		return d.client.ListJobLogs(ctx, id, job, opts)
	}, readLog))
	d.count(s, "records of others", "no", func(r record) bool { return r.integration != id || r.job != job })
}

func (d *doctor) skip(names ...string) { d.skipped = append(d.skipped, names...) }

// sample is what was read of a list.
type sample struct {
	list
	pages   []*page // with records
	again   *page   // the first page once more
	short   *page   // of the store's own length
	between *page   // 10 records from offset 7
	last    *page   // the one that ends the list; nil if not found
	refused int     // an offset, if refusal is not nil
	refusal error
	err     error // ends the sample
}

// get returns a page. It is nil if the offset is refused, and from any other error on.
func (s *sample) get(ctx context.Context, limit, offset int) *page {
	if s.err != nil {
		return nil
	}
	p, err := s.page(ctx, &epcclogs.ListOptions{Limit: limit, Offset: offset})
	switch {
	case p != nil: // also if some records cannot be read
	case offset > 0 && refuses(err):
		s.refused, s.refusal = offset, err
	default:
		s.err = err
	}
	return p
}

// take gets a page, and keeps it if it has records.
func (s *sample) take(ctx context.Context, offset int) *page {
	p := s.get(ctx, full, offset)
	if p != nil && p.length() > 0 {
		s.pages = append(s.pages, p)
	}
	return p
}

// sample reads some pages of a list and judges them. The end is searched for in the logs of the store,
// and in another list if it tells where it ends.
func (d *doctor) sample(ctx context.Context, l list) *sample {
	s, deep := &sample{list: l}, l.name == storeLogs
	defer d.judge(s)
	lo := s.take(ctx, 0)
	if len(s.pages) == 0 {
		return s
	}
	if lo.length() >= between {
		s.between = s.get(ctx, 10, 7)
	}
	if deep {
		s.short = s.get(ctx, 0, 0)
	}
	s.again = s.get(ctx, full, 0)
	for range 2 {
		p := s.take(ctx, lo.end())
		if p == nil || s.ignores() {
			return s
		}
		if p.length() == 0 {
			s.last = lo
			return s
		}
		lo = p
	}
	if deep || lo.total > 0 {
		s.end(ctx, lo)
	}
	return s
}

// end searches for the end of a list behind the page lo: where the count says it is, or by steps that
// double and then by halves.
func (s *sample) end(ctx context.Context, lo *page) {
	hi, next, total := 1<<30, 2*lo.end(), lo.total
	if total > 0 {
		next = max(lo.end(), total-s.clamp()/2)
	}
	for range 16 {
		p := s.take(ctx, next)
		switch {
		case s.err != nil || p == nil && total > 0:
			return
		case p == nil || p.length() == 0:
			hi = next
		default:
			lo = p
		}
		if lo.length() < s.clamp() || lo.end() >= hi {
			break
		}
		if next = 2 * lo.end(); hi < 1<<30 {
			next = max(lo.end(), (lo.end()+hi-s.clamp())/2)
		}
	}
	s.settle(ctx, lo)
}

// settle makes sure that the page lo is the last one, and takes the page before it. The list may have
// grown, and a short page may have more behind it.
func (s *sample) settle(ctx context.Context, lo *page) {
	for range 3 {
		p := s.take(ctx, lo.end())
		if p == nil {
			return
		}
		if p.length() == 0 {
			s.last = lo
			break
		}
		if lo = p; p.end() == p.total {
			s.last = p
			break
		}
	}
	s.take(ctx, max(0, lo.Offset-s.clamp()))
}

// records returns the records of all pages. One that has moved to another page is returned once.
func (s *sample) records() (all []record) {
	known := make(map[string]bool)
	for _, p := range s.pages {
		for _, r := range p.records {
			if !known[r.key] {
				known[r.key], all = true, append(all, r)
			}
		}
	}
	return all
}

// clamp returns the length of the longest page; 0 if the list is too short to tell.
func (s *sample) clamp() int {
	n := s.pages[0].length()
	if n < full && (len(s.pages) == 1 || s.ignores()) {
		return 0
	}
	return n
}

// ignores reports whether the list shows its beginning at any offset.
func (s *sample) ignores() bool { return len(s.pages) > 1 && startsWith(s.pages[0], 0, s.pages[1]) }

// startsWith reports whether q shows all records of p from the index on.
func startsWith(q *page, index int, p *page) bool {
	return index+len(p.records) <= len(q.records) && len(p.records) > 0 &&
		slices.EqualFunc(q.records[index:index+len(p.records)], p.records, func(a, b record) bool { return a.key == b.key })
}

// refuses reports whether a store refuses an offset in this way.
func refuses(err error) bool {
	var status *epcclogs.APIError
	return errors.As(err, &status) && status.StatusCode >= 400 &&
		!errors.Is(err, epcclogs.ErrUnauthorized) && !errors.Is(err, epcclogs.ErrForbidden) && !errors.Is(err, epcclogs.ErrRateLimited)
}

// statusText returns a status with its name.
func statusText(code int) string {
	return strings.TrimSpace(strconv.Itoa(code) + " " + http.StatusText(code))
}

// describe says what an error is, without its text, which may hold ids.
func describe(err error) string {
	var status *epcclogs.APIError
	var decode *epcclogs.DecodeError
	switch {
	case errors.Is(err, context.Canceled):
		return "not finished, as many requests were sent as are allowed"
	case errors.As(err, &status):
		text := statusText(status.StatusCode)
		switch {
		case status.Attempts == 0:
			text = "not asked, since an earlier answer 429 asks for a long pause"
		case status.StatusCode == http.StatusOK:
			text += ", but the body lists errors"
		case len(status.Errors) == 0:
			text += ", and the body is not a list of errors"
		}
		return text
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "the response ends early"
	case errors.As(err, &decode):
		return "the response is not the documented JSON"
	case errors.Is(err, epcclogs.ErrResponseTooLarge):
		return "the response is too large"
	case errors.Is(err, epcclogs.ErrPagination):
		return "paging cannot be followed"
	}
	return "no response"
}
