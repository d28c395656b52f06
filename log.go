package epcclogs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"
)

// logAttempt writes the record of one attempt; err is nil when it succeeded.
func logAttempt(ctx context.Context, l *slog.Logger, r *request, attempt int, took time.Duration, err error) {
	if !l.Enabled(ctx, slog.LevelDebug) {
		return
	}
	outcome := slog.Int("status", http.StatusOK)
	if status := new(APIError); errors.As(err, &status) {
		outcome = slog.Int("status", status.StatusCode)
	} else if err != nil {
		outcome = slog.String("error", err.Error())
	}
	l.LogAttrs(ctx, slog.LevelDebug, "epcclogs: request",
		append(attempted(r, attempt), outcome, slog.Duration("duration", took))...)
}

// logRetry writes the record of a retry, before its wait. attempt is the one that
// failed with err.
func logRetry(ctx context.Context, l *slog.Logger, r *request, attempt int, wait time.Duration, err error) {
	if !l.Enabled(ctx, slog.LevelWarn) {
		return
	}
	reason := err.Error()
	if status := new(APIError); errors.As(err, &status) {
		reason = fmt.Sprintf("status %d", status.StatusCode)
	}
	l.LogAttrs(ctx, slog.LevelWarn, "epcclogs: retry",
		append(attempted(r, attempt), slog.Duration("wait", wait), slog.String("reason", reason))...)
}

// attempted returns the attributes that tell which attempt a record is about.
func attempted(r *request, attempt int) []slog.Attr {
	attrs := []slog.Attr{slog.String("method", r.Method), slog.String("path", r.URL.Path)}
	if query := readable.Replace(r.URL.RawQuery); query != "" {
		attrs = append(attrs, slog.String("query", query))
	}
	return append(attrs, slog.Int("attempt", attempt))
}
