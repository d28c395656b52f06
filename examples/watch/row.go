package main

import (
	"cmp"
	"regexp"
	"strings"
	"time"

	"github.com/epcclogs/epcclogs"
)

// What is stored of a text, in bytes.
const (
	idLimit     = 1000
	reasonLimit = 4 << 10
	bodyLimit   = 64 << 10
	answerLimit = 160
)

// attempt is what identifies an attempt, and what came of it.
type attempt struct {
	Key         string `json:"key"`
	Integration string `json:"integration"`
	Job         string `json:"job"`
	Attempt     int    `json:"attempt"`
	Succeeded   bool   `json:"succeeded"`
	Status      int    `json:"status"`
	CreatedAt   int64  `json:"created_at"`
}

// At is when it was made.
func (r attempt) At() time.Time { return fromMicros(r.CreatedAt) }

// logRow is a row of the table logs.
type logRow struct {
	attempt
	ID         string `json:"id"`
	Reason     string `json:"reason"`
	Body       string `json:"body"`
	Answer     string `json:"answer"`
	Processing int64  `json:"processing"`
	Dated      bool   `json:"dated"`
}

// newLogRow makes of a record what both databases can hold, and JSON. A time that
// cannot be is that of reading.
func newLogRow(l epcclogs.IntegrationLog, now time.Time) logRow {
	created := l.CreatedAt()
	dated := created.Year() >= 2000 && created.Before(now.Add(days))
	if !dated {
		created = now
	}
	key := l.Key()
	row := logRow{
		attempt: attempt{
			Key:         key,
			Integration: text(l.IntegrationID(), idLimit),
			Job:         cmp.Or(text(l.JobID(), idLimit), key), // without a job, a record is an event of its own
			Attempt:     l.Attempt,
			Succeeded:   l.Succeeded,
			Status:      l.StatusCode,
			CreatedAt:   created.UnixMicro(),
		},
		ID:         text(l.ID, idLimit),
		Reason:     text(l.ErrorDetail, reasonLimit),
		Body:       text(l.Body, bodyLimit),
		Processing: int64(min(max(l.ProcessingTime, 0), 1e6)*1e6 + 0.5),
		Dated:      dated,
	}
	row.Answer = answerOf(row)
	return row
}

// size is about how much memory a row takes.
func (r logRow) size() int { return 500 + len(r.Body) + len(r.Reason) }

// text makes valid UTF-8 of at most limit bytes, without the one character that
// PostgreSQL cannot store. It does not keep what was longer in memory.
func text(s string, limit int) string {
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "")
		s = strings.Clone(s)
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

var (
	tags    = regexp.MustCompile(`<[^>]*>`)
	numbers = regexp.MustCompile(`[\pL\d_-]*\d[\pL\d_-]*`)
)

// answerOf returns what answers have in common that differ only in ids, times and
// numbers: the beginning of the body, or the reason when there is none.
func answerOf(r logRow) string {
	if r.Succeeded {
		return ""
	}
	s := text(cmp.Or(strings.TrimSpace(r.Body), r.Reason), 8*answerLimit)
	s = numbers.ReplaceAllStringFunc(tags.ReplaceAllString(s, " "), func(word string) string {
		if len(word) < 4 { // such as a status
			return word
		}
		return "…"
	})
	return text(strings.Join(strings.Fields(s), " "), answerLimit)
}

// grains are how exactly attempts are counted, and for how long.
var grains = map[time.Duration]time.Duration{minutes: 48 * time.Hour, hours: 15 * 24 * time.Hour, days: ever}

const (
	minutes = time.Minute
	hours   = time.Hour
	days    = 24 * time.Hour
	ever    = 100 * 366 * days
)
