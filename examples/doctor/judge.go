package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/epcclogs/epcclogs"
)

// finding is what was seen of one thing. No text of it comes from a record.
type finding struct {
	of, what, seen string // of a list, or of traffic
	surprise       bool
	relied         string // whether the library relies on it
}

// add adds a finding of a list. seen and args are a format; relied says whether the library relies on it.
func (d *doctor) add(of, what, relied string, surprise bool, seen string, args ...any) {
	d.findings = append(d.findings, finding{of, what, fmt.Sprintf(seen, args...), surprise, relied})
}

// judge adds what a sample shows.
func (d *doctor) judge(s *sample) {
	d.form(s.name)
	if s.err != nil {
		d.add(s.name, "pages", "yes", true, "%s", describe(s.err))
	}
	if len(s.pages) == 0 {
		if s.err == nil {
			d.add(s.name, "records", "no", false, "none")
		}
		return
	}
	d.lengths(s)
	d.counts(s)
	d.numbers(s)
	d.links(s)
	d.starts(s)
	d.ids(s)
	d.times(s)
}

// form compares all responses that the list has sent.
func (d *doctor) form(name string) {
	var forms []string
	for _, n := range d.trace.notes {
		if n.list == name && n.form != "" && !slices.Contains(forms, n.form) {
			forms = append(forms, n.form)
		}
	}
	if len(forms) > 0 {
		known := len(forms) == 1 && slices.Contains([]string{formMeta, formLinks, formNested, formBare}, forms[0])
		d.add(name, "form", "no, each of the four is read", !known, "%s", strings.Join(forms, "; also "))
	}
}

func (d *doctor) lengths(s *sample) {
	what, relied := "longest page", "no, pages may be shorter than was asked for"
	n := s.clamp()
	switch meta := s.pages[0].meta; {
	case n == 0:
		d.add(s.name, what, relied, false, "not known, the first one has %d", s.pages[0].length())
	case meta == nil || n == full:
		d.add(s.name, what, relied, n != full, "%d", n)
	case meta.Limit == n:
		d.add(s.name, what, relied, true, "%d, and the answer says so", n)
	default:
		d.add(s.name, what, relied, true, "%d, but the answer says %d", n, meta.Limit)
	}
	if s.short != nil && n > 0 {
		d.add(s.name, "page without page[limit]", "no", false, "%d", s.short.length())
	}
}

// counts compares the count of records with the end of the list, and with each page.
func (d *doctor) counts(s *sample) {
	what, relied := "count", "yes, to ask for fewer pages; a wrong one costs requests"
	first, wrong := s.pages[0].total, 0
	for _, p := range s.pages {
		if p.total >= 0 && p.total < p.end() {
			wrong++
		}
	}
	switch {
	case first < 0:
		d.add(s.name, what, relied, false, "none is sent")
	case s.ignores():
		d.add(s.name, what, relied, false, "cannot be told, since the offset is ignored")
	case wrong > 0:
		d.add(s.name, what, relied, true, "too small: %d pages go on behind it", wrong)
	case s.last == nil:
		d.add(s.name, what, relied, false, "not contradicted, but the end of the list was not reached")
	case s.last.total != s.last.end():
		d.add(s.name, what, relied, true, "wrong: it says %d, and the list ends at %d", s.last.total, s.last.end())
	default:
		d.add(s.name, what, relied, false, "true")
	}
}

// numbers checks what the pages say about themselves.
func (d *doctor) numbers(s *sample) {
	wrong, sent := make(map[string]bool), false
	for _, p := range s.pages {
		if p.meta != nil {
			sent = true
			p.check(wrong)
		}
	}
	if sent {
		d.add(s.name, "wrong members of meta", "hardly, total and current tell whether more follows", len(wrong) > 0,
			"%s", orNone(slices.Sorted(maps.Keys(wrong))))
	}
}

// check adds the members of meta that are wrong.
func (p *page) check(wrong map[string]bool) {
	m := p.meta
	if m.Offset != p.Offset {
		wrong["offset"] = true
	}
	if m.Limit <= 0 {
		wrong["limit"] = true
		return
	}
	if m.Offset%m.Limit == 0 && m.Current != m.Offset/m.Limit+1 {
		wrong["current"] = true
	}
	if p.total >= 0 && m.Total != (p.total+m.Limit-1)/m.Limit {
		wrong["total"] = true
	}
}

// links checks whether each page but the last one has a link to the next page.
func (d *doctor) links(s *sample) {
	if s.pages[0].links == nil || s.ignores() {
		return
	}
	missing, more, elsewhere := 0, 0, 0
	for _, p := range s.pages {
		next := ""
		if p.links != nil {
			next = p.links.Next
		}
		behind := slices.ContainsFunc(s.pages, func(q *page) bool { return q.Offset >= p.end() })
		missing += bit(next == "" && behind && p.length() >= s.clamp()) // what is behind a shorter page may be new
		more += bit(next != "" && p == s.last)
		elsewhere += bit(next != "" && p != s.last && offsetOf(next) != strconv.Itoa(p.end()))
	}
	d.add(s.name, "links to the next page", "yes, that none means the end; where they point to is not used", missing+more > 0,
		"%d missing, %d on the last page, %d to another offset than that of the next record", missing, more, elsewhere)
}

// offsetOf returns the offset in a link.
func offsetOf(link string) string {
	u, err := url.Parse(link)
	if err != nil {
		return ""
	}
	return u.Query().Get("page[offset]")
}

// starts judges pages that begin between two pages, and a page that was got twice.
func (d *doctor) starts(s *sample) {
	first, moved, same := s.pages[0], 0, true
	if s.again != nil {
		moved, same = reordered(first.records, s.again.records)
	}
	what, relied := "pages that begin between two", "yes, each page begins with the last known record"
	switch place := placeOf(first, s.between); {
	case s.ignores():
		d.add(s.name, what, relied, true, "no, the offset is ignored")
	case first.length() < between:
		d.add(s.name, what, relied, false, "not known, the first one has %d", first.length())
	case s.between == nil: // refused, or an error of the list
	case place >= 7-moved && place <= 7+moved:
		d.add(s.name, what, relied, false, "right")
	case place == 0:
		d.add(s.name, what, relied, true, "no, the offset is rounded to whole pages")
	default:
		d.add(s.name, what, relied, true, "other records than those at these places of the first page")
	}
	if s.again != nil {
		seen := map[bool]string{true: "in the same order", false: "in another order"}[same]
		d.add(s.name, "first page once more", "yes, records that stay keep their order", !same, "%s, %d records of %d are new", seen, moved, s.again.length())
	}
}

// placeOf returns the place at which q shows all records of p; -1 if there is none.
func placeOf(q, p *page) int {
	if p != nil {
		for i := range q.records {
			if startsWith(q, i, p) {
				return i
			}
		}
	}
	return -1
}

// reordered returns how many records of b are not in a, and whether the others are in the same order.
func reordered(a, b []record) (fresh int, same bool) {
	place := make(map[string]int)
	for i, r := range a {
		place[r.key] = i
	}
	last, same := -1, true
	for _, r := range b {
		i, ok := place[r.key]
		if !ok {
			fresh++
			continue
		}
		same, last = same && i >= last, i
	}
	return fresh, same
}

// ids judges what tells records apart.
func (d *doctor) ids(s *sample) {
	repeated, unread, ids := 0, 0, make(map[string]bool)
	for _, p := range s.pages {
		unread += p.unread
		keys := make(map[string]bool)
		for _, r := range p.records {
			repeated += bit(keys[r.key])
			keys[r.key], ids[r.id] = true, true
		}
	}
	all := len(s.records())
	d.add(s.name, "ids", "no, Key has more than the id", all > len(ids), "%d of %d records have the id of another one", all-len(ids), all)
	d.add(s.name, "keys", "yes, Key tells records apart", repeated > 0, "%d records have the key of another one on their page", repeated)
	d.add(s.name, "records that cannot be read", "yes, a record has an id, and members of the documented types", unread > 0, "%d", unread)
}

// count adds how many records are of a kind that should not be.
func (d *doctor) count(s *sample, what, relied string, bad func(record) bool) {
	n, all := 0, s.records()
	for _, r := range all {
		n += bit(bad(r))
	}
	if len(all) > 0 {
		d.add(s.name, what, relied, n > 0, "%d of %d", n, len(all))
	}
}

// late is how far a late record may stand off: this is what Follow and Since promise.
const late = 15

// times judges logs: whether they have what they need, and the order of their times, page by page.
func (d *doctor) times(s *sample) {
	if s.name == integrations || s.name == integrationJobs {
		return
	}
	d.count(s, "records without a job", "a little, Key has the job", func(r record) bool { return r.job == "" })
	d.count(s, "records without an integration", "a little, Key has the integration", func(r record) bool { return r.integration == "" })
	d.count(s, "records without a creation time", "yes, Since and CaughtUp need it", func(r record) bool { return r.at.IsZero() })
	d.sameTimes(s)
	if s.name == jobLogs {
		return
	}
	what, relied := "order of creation times", "yes, for Since; other lists are read in any order"
	up, down := s.steps()
	switch {
	case up+down == 0:
		d.add(s.name, what, relied, len(s.records()) > 1, "cannot be told")
		return
	case min(up, down) > (up+down)/4:
		d.add(s.name, what, relied, true, "neither rises nor falls")
		return
	case up > down:
		d.add(s.name, what, relied, false, "rises, the newest are at the end")
	default:
		d.add(s.name, what, relied, false, "falls, the newest come first")
	}
	farthest, some := 0, 0
	for _, p := range s.pages {
		for _, n := range newer(p.records, up > down) {
			farthest, some = max(farthest, n), some+bit(n > 0)
		}
	}
	d.add(s.name, "late records", "yes, up to 15 places off for Follow and Since", farthest > late, "%d, at most %d places off", some, farthest)
}

// sameTimes counts the records that share their creation time with another one.
func (d *doctor) sameTimes(s *sample) {
	equal, all, at := 0, s.records(), make(map[int64]int)
	for _, r := range all {
		at[r.at.UnixNano()]++
	}
	for _, r := range all {
		equal += bit(!r.at.IsZero() && at[r.at.UnixNano()] > 1)
	}
	d.add(s.name, "equal creation times", "no, as long as such records keep their order", false, "%d of %d records", equal, len(all))
}

// steps counts the neighbours of which the second one is newer, and those of which it is older.
func (s *sample) steps() (up, down int) {
	for _, p := range s.pages {
		for i := range p.records {
			if i > 0 {
				up += bit(p.records[i-1].at.Before(p.records[i].at))
				down += bit(p.records[i].at.Before(p.records[i-1].at))
			}
		}
	}
	return up, down
}

func bit(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// newer returns, for each record, how many newer ones came before it: these stand on its left if times
// rise, else on its right.
func newer(records []record, rising bool) []int {
	records = slices.Clone(records)
	if !rising {
		slices.Reverse(records)
	}
	counts := make([]int, len(records))
	for i, r := range records {
		for _, q := range records[:i] {
			counts[i] += bit(!r.at.IsZero() && q.at.After(r.at))
		}
	}
	return counts
}

// reach finds out up to which offset the list answers.
func (d *doctor) reach(ctx context.Context, s *sample) {
	if len(s.pages) == 0 || s.ignores() {
		d.skip("which offsets are refused")
		return
	}
	answered := s.probe(ctx)
	what, relied := "offsets", "no, but behind a refused one nothing can be read"
	switch {
	case s.err != nil:
		d.add(s.name, what, relied, !errors.Is(s.err, context.Canceled), "up to %d at least, then: %s", answered, describe(s.err))
	case s.refusal == nil:
		d.add(s.name, what, relied, false, "up to %d at least", answered)
	default:
		d.add(s.name, what, relied, answered < 10_000, "up to %d", answered)
	}
	if s.refusal != nil {
		var status *epcclogs.APIError
		tidy := errors.As(s.refusal, &status) && status.StatusCode < 500 && status.StatusCode != http.StatusNotFound
		d.add(s.name, "refusal of higher offsets", "yes, a status 4xx but 401, 403, 404 is taken as one", !tidy, "%s", describe(s.refusal))
	}
}

// probe returns the highest offset that the list answers, of those up to a million.
func (s *sample) probe(ctx context.Context) int {
	answered, refused := 0, 1<<30
	if s.refusal != nil {
		refused = s.refused
	}
	for _, p := range s.pages {
		answered = max(answered, p.Offset)
	}
	probes := []int{10_000, 10_001, 1_000_000}
	for s.err = nil; s.err == nil && answered < 1_000_000 && refused-answered > 1; {
		next := (answered + refused) / 2
		if i := slices.IndexFunc(probes, func(n int) bool { return n > answered }); probes[i] < refused {
			next = probes[i]
		}
		if s.get(ctx, 1, next) != nil {
			answered = next
		} else if s.err == nil {
			refused = next
		}
	}
	return answered
}

// sinceRequests is how many requests are kept to read the last 24 hours.
const sinceRequests = 16

// since reads the logs of the last 24 hours, or some of them.
func (d *doctor) since(ctx context.Context) {
	ctx, stop := d.trace.allow(ctx, most-d.trace.sent)
	defer stop()
	before, records := d.trace.sent, 0
	var end error
	for p, err := range d.client.StoreLogs(nil).Since(time.Now().Add(-24 * time.Hour)).Pages(ctx) {
		if p == nil {
			end = err
			break
		}
		records += len(p.Data) // also if others cannot be read
	}
	what, relied, cost := "Since(24 hours ago)", "no, it is a cost", d.trace.sent-before
	switch {
	case end == nil:
		d.add(storeLogs, what, relied, false, "%d requests for %d logs", cost, records)
	case errors.Is(end, context.Canceled):
		d.add(storeLogs, what, relied, false, "%d requests for the first %d logs, then it was left", cost, records)
	default:
		d.add(storeLogs, what, relied, true, "%d requests for the first %d logs, then: %s", cost, records, describe(end))
	}
}
