package main

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"
)

// ago says how long before now a time was.
func ago(now, t time.Time) string {
	d := max(0, now.Sub(t))
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}

// count writes a number with its thousands apart.
func count(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// percent is rounded down, so that a single failure is never 100 %.
func percent(rate float64) string {
	return strconv.FormatFloat(math.Floor(rate*1e4)/100, 'f', 2, 64) + " %"
}

// took is a processing time; a dash when none was sent.
func took(micros int64) string {
	if micros == 0 {
		return "–"
	}
	return (time.Duration(micros) * time.Microsecond).Round(time.Millisecond).String()
}

func statusText(status int) string {
	if status == 0 {
		return "no status"
	}
	return strconv.Itoa(status)
}

// hint is what to look at first when deliveries fail; empty if only the answer tells.
func hint(integrationType string, status int) string {
	switch {
	case status == 0 && integrationType != "webhook": // a queue, which has no statuses
		return ""
	case status == 0:
		return "The endpoint does not answer within 10 s. Is it up, and can the store reach it?"
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return "The endpoint refuses the credentials of the integration."
	case status == http.StatusNotFound || status == http.StatusGone:
		return "The endpoint is not there. Is the URL of the integration right?"
	case status == http.StatusTooManyRequests:
		return "The endpoint gets more requests than it allows."
	case status >= 500:
		return "The endpoint itself fails. Its log tells why."
	case status >= 300 && status < 400:
		return "The endpoint has moved. Deliveries follow no redirects."
	}
	return "The endpoint refuses these events. Its answer tells why."
}

// shorten cuts a text to what a page shows.
func shorten(limit int, s string) string {
	if len(s) > limit {
		return text(s, limit) + " …"
	}
	return s
}
