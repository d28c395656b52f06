package epcclogstest

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/epcclogs/epcclogs"
)

// The JSON is written by hand. If it were encoded from the types that clients
// decode into, a wrong name would be wrong on both sides, and no test would see
// it.

func appendLog(b []byte, l *epcclogs.IntegrationLog) []byte {
	b = append(b, `{"id":`...)
	b = appendString(b, l.ID)
	b = append(b, `,"type":`...)
	b = appendString(b, l.Type)
	b = append(b, `,"succeeded":`...)
	b = strconv.AppendBool(b, l.Succeeded)
	b = append(b, `,"attempt":`...)
	b = strconv.AppendInt(b, int64(l.Attempt), 10)
	if l.ProcessingTime != 0 {
		b = append(b, `,"processing_time":`...)
		b = strconv.AppendFloat(b, l.ProcessingTime, 'f', -1, 64)
	}
	b = append(b, `,"body":`...)
	b = appendString(b, l.Body)
	b = append(b, `,"status_code":`...)
	b = strconv.AppendInt(b, int64(l.StatusCode), 10)
	b = append(b, `,"error_detail":`...)
	b = appendString(b, l.ErrorDetail)
	b = append(b, `,"relationships":{"integration":{"data":`...)
	integration := l.Relationships.Integration.Data
	b = appendIdentifier(b, integration.ID, integration.Type)
	b = append(b, `},"job":{"data":`...)
	job := l.Relationships.Job.Data
	b = appendIdentifier(b, job.ID, job.Type)
	b = append(b, `}}`...)
	b = appendTimestamps(b, l.Meta.Timestamps)
	return append(b, '}')
}

// appendIntegration adds a configuration with a made-up secret, because the
// service sends one, and clients must not show it.
func appendIntegration(b []byte, in epcclogs.Integration) []byte {
	b = append(b, `{"id":`...)
	b = appendString(b, in.ID)
	b = append(b, `,"type":`...)
	b = appendString(b, in.Type)
	b = append(b, `,"name":`...)
	b = appendString(b, in.Name)
	b = append(b, `,"description":`...)
	b = appendString(b, in.Description)
	b = append(b, `,"enabled":`...)
	b = strconv.AppendBool(b, in.Enabled)
	b = append(b, `,"integration_type":`...)
	b = appendString(b, in.IntegrationType)
	b = append(b, `,"observes":[`...)
	for i, event := range in.Observes {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, event)
	}
	b = append(b, `],"configuration":{"url":"https://example.com/hook","secret_key":"not-a-real-secret"}`...)
	b = append(b, `,"links":{"self":`...)
	b = appendString(b, "/integrations/"+in.ID)
	b = append(b, '}')
	b = appendTimestamps(b, in.Meta.Timestamps)
	return append(b, '}')
}

func appendIdentifier(b []byte, id, typ string) []byte {
	b = append(b, `{"id":`...)
	b = appendString(b, id)
	b = append(b, `,"type":`...)
	b = appendString(b, typ)
	return append(b, '}')
}

func appendJob(b []byte, id string) []byte {
	return appendIdentifier(b, id, "integration-job")
}

// appendTimestamps adds the member meta with the times that are set.
func appendTimestamps(b []byte, t epcclogs.Timestamps) []byte {
	separator := `,"meta":{"timestamps":{`
	add := func(name string, at time.Time) {
		if at.IsZero() {
			return
		}
		b = append(b, separator...)
		separator = `,`
		b = append(b, name...)
		b = append(b, `:"`...)
		b = at.AppendFormat(b, time.RFC3339Nano)
		b = append(b, '"')
	}
	add(`"created_at"`, t.CreatedAt)
	add(`"updated_at"`, t.UpdatedAt)
	if separator == `,` {
		b = append(b, `}}`...)
	}
	return b
}

// appendString adds s as a JSON string.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	b = append(b, '"')
	plain := 0 // where the part begins that needs no escape and is not yet copied
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[plain:i]...)
		plain = i + 1
		switch {
		case c == '\n':
			b = append(b, `\n`...)
		case c < ' ':
			b = append(b, `\u00`...)
			b = append(b, hex[c>>4], hex[c&15])
		default:
			b = append(b, '\\', c)
		}
	}
	b = append(b, s[plain:]...)
	return append(b, '"')
}
