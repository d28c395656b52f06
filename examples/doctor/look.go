package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
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

// finding is what was seen of one thing. No text of it comes from a record.
type finding struct {
	of, what, seen string // of a list, or of traffic
	surprise       bool
	relied         string // whether the library relies on it
}

// full is the length of the longest page that the API documents.
const full = 100

// list is one of the API's lists.
type list struct {
	name string
	get  func(context.Context, *epcclogs.ListOptions) (*page, error)
}

// page is a page of any list.
type page struct {
	epcclogs.ListOptions // what was asked for
	records              []record
	meta                 *epcclogs.PageMeta
	total                int // records of the list; -1 if not sent
	links                *epcclogs.PageLinks
	unread               int // records that cannot be read
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

// look looks at everything. Its error is one without which nothing can be said.
func (d *doctor) look(ctx context.Context) error {
	all := listOf(d.trace, integrations, d.client.ListIntegrations, func(in epcclogs.Integration) record {
		return record{key: in.ID, id: in.ID, at: in.Meta.Timestamps.CreatedAt}
	})
	d.trace.left = most - sinceRequests
	hooks, err := d.sample(ctx, all, false)
	if err != nil && d.trace.answered() == 0 || errors.Is(err, epcclogs.ErrUnauthorized) || errors.Is(err, epcclogs.ErrForbidden) {
		return err
	}
	d.judge(all.name, hooks, err)
	logs := listOf(d.trace, storeLogs, d.client.ListStoreLogs, readLog)
	whole, err := d.sample(ctx, logs, true)
	d.judge(logs.name, whole, err)
	if id := busiest(hooks, whole); id != "" {
		d.integration(ctx, id)
	} else {
		d.skip(integrationLogs, integrationJobs, jobLogs)
	}
	d.reach(ctx, logs, whole)
	d.since(ctx)
	d.summary()
	return ctx.Err()
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
		if len(hooks.pages) == 0 {
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
	logs := listOf(d.trace, integrationLogs, func(ctx context.Context, opts *epcclogs.ListOptions) (*epcclogs.Page[epcclogs.IntegrationLog], error) {
		return d.client.ListIntegrationLogs(ctx, id, opts)
	}, readLog)
	s, err := d.sample(ctx, logs, false)
	d.judge(logs.name, s, err)
	d.belongs(s, func(r record) bool { return r.integration == id })
	jobs := listOf(d.trace, integrationJobs, func(ctx context.Context, opts *epcclogs.ListOptions) (*epcclogs.Page[epcclogs.IntegrationJob], error) {
		return d.client.ListIntegrationJobs(ctx, id, opts)
	}, func(j epcclogs.IntegrationJob) record { return record{key: j.ID, id: j.ID} })
	j, err := d.sample(ctx, jobs, false)
	d.judge(jobs.name, j, err)
	if len(j.records()) == 0 {
		d.skip(jobLogs)
		return
	}
	job := j.records()[0].id
	attempts := listOf(d.trace, jobLogs, func(ctx context.Context, opts *epcclogs.ListOptions) (*epcclogs.Page[epcclogs.IntegrationLog], error) {
		return d.client.ListJobLogs(ctx, id, job, opts)
	}, readLog)
	p, err := attempts.get(ctx, &epcclogs.ListOptions{Limit: full})
	a := &sample{pages: pagesOf(p)}
	d.judge(attempts.name, a, err)
	d.belongs(a, func(r record) bool { return r.integration == id && r.job == job })
}

func (d *doctor) skip(names ...string) { d.skipped = append(d.skipped, names...) }

// sample is what was read of a list.
type sample struct {
	name    string
	pages   []*page
	again   *page // the first page once more
	short   *page // of the store's own length
	between *page // 10 records from offset 7
	last    *page // the one that ends the list; nil if not found
	refused int   // an offset, if refusal is not nil
	refusal error
}

func pagesOf(pages ...*page) []*page {
	return slices.DeleteFunc(pages, func(p *page) bool { return p == nil })
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
	if len(s.pages) == 0 {
		return 0
	}
	n := s.pages[0].length()
	if n < full && (len(s.pages) < 2 || s.pages[1].length() == 0 || s.ignores()) {
		return 0
	}
	return n
}

// ignores reports whether the list shows its beginning at any offset.
func (s *sample) ignores() bool { return len(s.pages) > 1 && startsWith(s.pages[0], 0, s.pages[1]) }

// startsWith reports whether p shows what q shows from the index on.
func startsWith(q *page, index int, p *page) bool {
	return index >= 0 && index+len(p.records) <= len(q.records) && len(p.records) > 0 &&
		slices.EqualFunc(q.records[index:index+len(p.records)], p.records, func(a, b record) bool { return a.key == b.key })
}

// sample reads some pages of a list: the first ones, some that begin elsewhere, and the last ones. If
// deep, it searches for the end of the list, also if that is not told.
func (d *doctor) sample(ctx context.Context, l list, deep bool) (*sample, error) {
	s := &sample{name: l.name}
	get := func(limit, offset int) (*page, error) {
		return l.get(ctx, &epcclogs.ListOptions{Limit: limit, Offset: offset})
	}
	first, err := get(full, 0)
	if err != nil || first.length() == 0 {
		s.pages = pagesOf(first)
		return s, err
	}
	s.pages = pagesOf(first)
	for _, ask := range []struct {
		to            **page
		limit, offset int
	}{{&s.between, 10, 7}, {&s.short, 0, 0}, {&s.again, full, 0}} {
		if ask.offset+ask.limit > first.length() || !deep && ask.limit == 0 {
			continue
		}
		if *ask.to, err = get(ask.limit, ask.offset); err != nil {
			return s, err
		}
	}
	for range 2 { // further pages
		next := s.pages[len(s.pages)-1].end()
		p, err := get(full, next)
		if refuses(err) {
			s.refused, s.refusal = next, err
			return s, nil
		} else if err != nil {
			return s, err
		}
		s.pages = append(s.pages, p)
		if p.length() == 0 || !deep || s.ignores() {
			break
		}
	}
	if s.ignores() || s.clamp() == 0 || !deep && first.total < 0 {
		return s, nil
	}
	return s, s.end(get)
}

// end searches for the end of the list: where the count says it is, or by steps that double and then by
// halves. It adds the pages before it.
func (s *sample) end(get func(limit, offset int) (*page, error)) error {
	lo := s.pages[len(s.pages)-1]
	hi, next, total := 1<<30, 2*lo.end(), s.pages[0].total
	if total > 0 {
		next = max(lo.end(), total-s.clamp()/2)
	}
	for range 16 {
		p, err := get(full, next)
		switch {
		case refuses(err):
			s.refused, s.refusal, hi = next, err, next
			if total > 0 {
				return nil
			}
		case err != nil:
			return err
		case p.length() == 0:
			hi = next
		default:
			lo, s.pages = p, append(s.pages, p)
		}
		if lo.length() == 0 || lo.length() < s.clamp() || lo.end() >= hi {
			break
		}
		if next = 2 * lo.end(); hi < 1<<30 {
			next = max(lo.end(), (lo.end()+hi-s.clamp())/2)
		}
	}
	if s.refusal != nil && lo.end() >= s.refused {
		return nil
	}
	for range 3 { // the list may grow, and a short page may have more behind it
		p, err := get(full, lo.end())
		if refuses(err) {
			s.refused, s.refusal = lo.end(), err
			return nil
		} else if err != nil {
			return err
		}
		if p.length() == 0 {
			s.last = lo
			break
		}
		lo, s.pages = p, append(s.pages, p)
		if p.end() == p.total {
			s.last = p
			break
		}
	}
	before := lo.Offset - s.clamp()
	if before <= 0 {
		return nil
	}
	p, err := get(full, before)
	if err == nil {
		s.pages = append(s.pages, p)
	}
	return err
}

// refuses reports whether a store refuses an offset in this way.
func refuses(err error) bool {
	var status *epcclogs.APIError
	return errors.As(err, &status) && status.StatusCode >= 400 &&
		!errors.Is(err, epcclogs.ErrUnauthorized) && !errors.Is(err, epcclogs.ErrForbidden) && !errors.Is(err, epcclogs.ErrRateLimited)
}

// describe says what an error is, without its text, which may hold ids.
func describe(err error) string {
	var status *epcclogs.APIError
	var decode *epcclogs.DecodeError
	switch {
	case errors.Is(err, errSpent):
		return "not finished: so many requests were sent as are allowed"
	case errors.Is(err, context.Canceled):
		return "not finished: interrupted"
	case errors.As(err, &status):
		text := http.StatusText(status.StatusCode)
		if len(status.Errors) == 0 {
			text += ", and the body is not a list of errors"
		}
		return itoa(status.StatusCode) + " " + text
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
