package epcclogs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"
)

// Attempt is one request that was sent, and what came of it. [WithOnAttempt] tells of
// each, also of those for tokens (Path is /oauth/access_token). It holds no credentials.
type Attempt struct {
	Method string
	Path   string
	Query  string // such as page[limit]=100&page[offset]=200; empty for none
	// Number is 1 for the first attempt of a call. Retries have larger ones.
	Number     int
	StatusCode int // 0 if no response came
	// Err is nil if the attempt succeeded. StatusCode is 200 beside an error if the response
	// was cut, or is not the documented JSON.
	Err      error
	Duration time.Duration // until the response was decoded, without the wait for the rate limit
	// Retry is true if another attempt follows, unless the context ends first: also that of a
	// page that a pager has asked for early and needs no longer.
	Retry bool
	Wait  time.Duration // before that attempt, at least; 0 without one, or if it follows at once
}

// logAttempt writes the record of an attempt.
func logAttempt(ctx context.Context, l *slog.Logger, a Attempt) {
	if !l.Enabled(ctx, slog.LevelDebug) {
		return
	}
	outcome := slog.Int("status", a.StatusCode)
	if a.Err != nil && (a.StatusCode == http.StatusOK || !errors.As(a.Err, new(*APIError))) {
		outcome = slog.String("error", a.Err.Error())
	}
	l.LogAttrs(ctx, slog.LevelDebug, "epcclogs: request", append(a.attrs(), outcome, slog.Duration("duration", a.Duration))...)
}

// logRetry writes the record of a retry, before its wait.
func logRetry(ctx context.Context, l *slog.Logger, a Attempt) {
	if !l.Enabled(ctx, slog.LevelWarn) {
		return
	}
	reason := a.Err.Error()
	if errors.As(a.Err, new(*APIError)) {
		reason = fmt.Sprintf("status %d", a.StatusCode)
	}
	l.LogAttrs(ctx, slog.LevelWarn, "epcclogs: retry", append(a.attrs(), slog.Duration("wait", a.Wait), slog.String("reason", reason))...)
}

// attrs returns the attributes that tell which attempt a record is about.
func (a Attempt) attrs() []slog.Attr {
	attrs := []slog.Attr{slog.String("method", a.Method), slog.String("path", a.Path)}
	if a.Query != "" {
		attrs = append(attrs, slog.String("query", a.Query))
	}
	return append(attrs, slog.Int("attempt", a.Number))
}
