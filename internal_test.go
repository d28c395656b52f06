package epcclogs

import (
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A connection of HTTP/2 that has died is shared by all requests. It must be
// found out within one attempt, or every retry would take it again.
func TestDeadConnectionIsFoundWithinAnAttempt(t *testing.T) {
	config := newTransport().HTTP2
	require.NotNil(t, config)
	assert.Positive(t, config.SendPingTimeout)
	assert.Positive(t, config.PingTimeout)
	assert.Less(t, config.SendPingTimeout+config.PingTimeout, defaultTimeout)
}

// FuzzRetryAfter reads the header: never below zero, and waited for as it says.
func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{
		"", "0", "7", "1.5", ".5", "5.", ".", "-1", "1e9", "NaN", "9223372036", "9223372037", "99999999999999999999",
		strings.Repeat("9", 400), "0." + strings.Repeat("0", 400) + "1", " 7 ", "soon", "5, 6",
		"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "Fri, 31 Dec 9999 23:59:59 GMT",
	} {
		f.Add(seed, "Sun, 06 Nov 1994 08:49:30 GMT")
		f.Add(seed, "Mon, 01 Jan 0001 00:00:00 GMT")
		f.Add(seed, "")
	}
	policy, err := RetryPolicy{}.withDefaults()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, value, date string) {
		h := http.Header{"Retry-After": {value}, "Date": {date}}
		d, ok := retryAfter(h)
		if d < 0 || !ok && d != 0 {
			t.Errorf("%v, %v", d, ok)
		}
		if _, err := http.ParseTime(date); err != nil {
			h.Set("Date", "Sun, 06 Nov 1994 08:49:37 GMT") // time must not pass between the two
			d, ok = retryAfter(h)
		}
		wait := policy.wait(1, h)
		switch {
		case !ok && (wait < policy.MinWait/2 || wait > policy.MinWait):
			t.Errorf("waits %v without a header", wait)
		case ok && wait != max(d, time.Millisecond):
			t.Errorf("waits %v for %v", wait, d)
		}
	})
}

// FuzzWait reckons the wait of any policy after any attempt.
func FuzzWait(f *testing.F) {
	for _, n := range []int{1, 2, 3, 62, 63, 64, 65, math.MaxInt} {
		f.Add(n, int64(time.Second), int64(math.MaxInt64))
		f.Add(n, int64(math.MaxInt64), int64(math.MaxInt64))
		f.Add(n, int64(0), int64(0))
		f.Add(n, int64(1), int64(1))
	}
	f.Fuzz(func(t *testing.T, n int, least, most int64) {
		p, err := RetryPolicy{MinWait: time.Duration(least), MaxWait: time.Duration(most)}.withDefaults()
		if err != nil || n < 1 {
			return
		}
		bound := min(float64(p.MinWait)*math.Pow(2, float64(n-1)), float64(p.MaxWait))
		if d := p.wait(n, nil); d < time.Millisecond || float64(d) < bound/2 || float64(d) > bound {
			t.Errorf("%+v waits %v after attempt %d", p, d, n)
		}
	})
}

// FuzzTokenLifetime reads how long a token lives: never below zero, nor longer
// than seconds can be counted.
func FuzzTokenLifetime(f *testing.F) {
	for _, seed := range []string{"0", "-1", "1e-300", "1e308", `"Inf"`, `"-Inf"`, `"NaN"`, "null"} {
		f.Add(seed, "null", "")
		f.Add("null", seed, "Sun, 06 Nov 1994 08:49:37 GMT")
	}
	f.Fuzz(func(t *testing.T, expiresIn, expires, date string) {
		body := `{"access_token":"a","expires_in":` + expiresIn + `,"expires":` + expires + `}`
		_, d, err := readToken(http.Header{"Date": {date}}, []byte(body))
		if err == nil && (d < 0 || d > math.MaxInt32*time.Second) {
			t.Errorf("lives for %v", d)
		}
	})
}
