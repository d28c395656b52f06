package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/epcclogs/epcclogs"
)

// add adds a finding of a list. seen and args are a format; relied says whether the library relies on it.
func (d *doctor) add(of, what, relied string, surprise bool, seen string, args ...any) {
	d.findings = append(d.findings, finding{of, what, fmt.Sprintf(seen, args...), surprise, relied})
}

func itoa(n int) string { return strconv.Itoa(n) }

// judge adds what a sample shows. err is what ended the sample.
func (d *doctor) judge(name string, s *sample, err error) {
	s.name = name
	d.form(name)
	if err != nil {
		d.add(name, "pages", "yes", true, "%s", describe(err))
	}
	if len(s.records()) == 0 {
		d.add(name, "records", "no", false, "none")
		return
	}
	d.lengths(s)
	d.counts(s)
	d.numbers(s)
	d.links(s)
	d.starts(s)
	d.ids(s)
	d.order(s)
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
		if p.length() > 0 && p.total >= 0 && p.total < p.end() {
			wrong++
		}
	}
	last := s.last
	if s.clamp() == 0 {
		last = s.pages[0]
	}
	switch {
	case first < 0:
		d.add(s.name, what, relied, false, "none is sent")
	case s.ignores():
		d.add(s.name, what, relied, false, "cannot be told, since the offset is ignored")
	case wrong > 0:
		d.add(s.name, what, relied, true, "too small: %d pages go on behind it", wrong)
	case last == nil:
		d.add(s.name, what, relied, false, "not contradicted, but the end of the list was not reached")
	case last.total != last.end():
		d.add(s.name, what, relied, true, "wrong: it says %d, and the list ends at %d", last.total, last.end())
	default:
		d.add(s.name, what, relied, false, "true")
	}
}

// numbers checks what the pages say about themselves.
func (d *doctor) numbers(s *sample) {
	wrong, all := make(map[string]bool), 0
	for _, p := range s.pages {
		m := p.meta
		if m == nil || p.length() == 0 {
			continue
		}
		all++
		wrong["offset"] = wrong["offset"] || m.Offset != p.Offset
		if m.Limit <= 0 {
			wrong["limit"] = true
			continue
		}
		wrong["current"] = wrong["current"] || m.Offset%m.Limit == 0 && m.Current != m.Offset/m.Limit+1
		wrong["total"] = wrong["total"] || p.total >= 0 && m.Total != (p.total+m.Limit-1)/m.Limit
	}
	if all == 0 {
		return
	}
	var names []string
	for _, name := range []string{"limit", "offset", "current", "total"} {
		if wrong[name] {
			names = append(names, name)
		}
	}
	seen := cmp.Or(strings.Join(names, ", "), "none")
	d.add(s.name, "wrong members of meta", "hardly, total and current tell whether more follows", len(names) > 0, "%s", seen)
}

// links checks whether each page but the last one has a link to the next page.
func (d *doctor) links(s *sample) {
	if s.pages[0].links == nil {
		return
	}
	missing, more, elsewhere := 0, 0, 0
	for i, p := range s.pages {
		if p.links == nil || p.length() == 0 {
			continue
		}
		end := p == s.last || i == 0 && s.clamp() == 0
		follows := i+1 < len(s.pages) && s.pages[i+1].length() > 0 && s.pages[i+1].Offset == p.end()
		switch next := p.links.Next; {
		case next == "" && follows && p.length() >= s.clamp(): // what follows a shorter one may be new
			missing++
		case next != "" && end:
			more++
		case next != "" && offsetOf(next) != itoa(p.end()):
			elsewhere++
		}
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
	case s.between == nil:
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
	repeated, unread, all := 0, 0, s.records()
	for _, p := range s.pages {
		unread += p.unread
		keys := make(map[string]bool)
		for _, r := range p.records {
			repeated += bit(keys[r.key])
			keys[r.key] = true
		}
	}
	ids := make(map[string]bool)
	for _, r := range all {
		ids[r.id] = true
	}
	shared := len(all) - len(ids)
	d.add(s.name, "ids", "no, Key has more than the id", shared > 0, "%d of %d records have the id of another one", shared, len(all))
	d.add(s.name, "keys", "yes, Key tells records apart", repeated > 0, "%d records have the key of another one on their page", repeated)
	d.add(s.name, "records that cannot be read", "yes, a record has an id, and members of the documented types", unread > 0, "%d", unread)
	if s.name == integrations || s.name == integrationJobs {
		return
	}
	d.without(s.name, "records without a job", "a little, Key has the job", all, func(r record) bool { return r.job == "" })
	d.without(s.name, "records without an integration", "a little, Key has the integration", all, func(r record) bool { return r.integration == "" })
	d.without(s.name, "records without a creation time", "yes, Since and CaughtUp need it", all, func(r record) bool { return r.at.IsZero() })
}

// without adds how many records lack something.
func (d *doctor) without(of, what, relied string, all []record, lacks func(record) bool) {
	n := 0
	for _, r := range all {
		if lacks(r) {
			n++
		}
	}
	d.add(of, what, relied, n > 0, "%d of %d", n, len(all))
}

// belongs judges whether a list has only its own records.
func (d *doctor) belongs(s *sample, own func(record) bool) {
	if all := s.records(); len(all) > 0 {
		d.without(s.name, "records of others", "no", all, func(r record) bool { return !own(r) })
	}
}

// late is how far a late record may stand off for Resume, which remembers so many records of each end.
const late = 16

// order judges the order of creation times, page by page.
func (d *doctor) order(s *sample) {
	up, down := 0, 0
	for _, p := range s.pages {
		for i := range p.records {
			if i > 0 {
				up += bit(p.records[i-1].at.Before(p.records[i].at))
				down += bit(p.records[i].at.Before(p.records[i-1].at))
			}
		}
	}
	if s.name == integrations || s.name == integrationJobs || s.name == jobLogs {
		return
	}
	what, relied := "order of creation times", "yes, for Since; other lists are read in any order"
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
	most, some := 0, 0
	for _, p := range s.pages {
		for _, n := range newer(p.records, up > down) {
			most, some = max(most, n), some+bit(n > 0)
		}
	}
	d.add(s.name, "late records", "yes, up to 16 places off for Resume and 32 for Since", most > late, "%d, at most %d places off", some, most)
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
func (d *doctor) reach(ctx context.Context, l list, s *sample) {
	what, relied := "offsets", "no, but behind a refused one nothing can be read"
	if len(s.records()) == 0 || s.ignores() {
		d.skip("which offsets are refused")
		return
	}
	answered, refused, refusal := 0, 1<<30, error(nil)
	if s.refusal != nil {
		refused, refusal = s.refused, s.refusal
	}
	for _, p := range s.pages {
		answered = max(answered, p.Offset)
	}
	probes := []int{10_000, 10_001, 1_000_000}
	for answered < probes[len(probes)-1] && refused-answered > 1 {
		next := (answered + refused) / 2
		if i := slices.IndexFunc(probes, func(n int) bool { return n > answered }); probes[i] < refused {
			next = probes[i]
		}
		_, err := l.get(ctx, &epcclogs.ListOptions{Limit: 1, Offset: next})
		switch {
		case refuses(err):
			refused, refusal = next, err
		case err != nil && refusal != nil:
			d.add(l.name, what, relied, refused <= 10_000, "up to %d at least, %d is refused; %s", answered, refused, describe(err))
			return
		case err != nil:
			d.add(l.name, what, relied, !errors.Is(err, errSpent), "up to %d at least; %s", answered, describe(err))
			return
		default:
			answered = next
		}
	}
	if refusal == nil {
		d.add(l.name, what, relied, false, "up to %d at least", answered)
		return
	}
	var status *epcclogs.APIError
	tidy := errors.As(refusal, &status) && status.StatusCode < 500 && status.StatusCode != http.StatusNotFound
	d.add(l.name, what, relied, answered < 10_000, "up to %d", answered)
	d.add(l.name, "refusal of higher offsets", "yes, a status 4xx but 401, 403, 404 is taken as one", !tidy, "%s", describe(refusal))
}

// sinceRequests is how many requests are kept to read the last 24 hours.
const sinceRequests = 16

// since reads the logs of the last 24 hours, or some of them.
func (d *doctor) since(ctx context.Context) {
	d.trace.left = most - d.trace.sent
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
	case errors.Is(end, errSpent):
		d.add(storeLogs, what, relied, false, "%d requests for the first %d logs, then it was left", cost, records)
	default:
		d.add(storeLogs, what, relied, true, "%d requests for the first %d logs, then: %s", cost, records, describe(end))
	}
}
