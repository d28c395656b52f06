//go:build go1.25

// Package limited measures in virtual time how much of a rate limit a client uses, and how its rate follows refusals,
// with limiters of the kinds that servers use.
package limited

import (
	"maps"
	"math"
	"slices"
)

// A Limiter decides which requests are allowed.
type Limiter interface {
	// Allow reports whether a request at time t, in seconds, is allowed when rate
	// requests a second are. It is called for every request, in the order of time.
	Allow(t, rate float64) bool
}

// kinds are the names of all limiters.
var kinds = slices.Sorted(maps.Keys(limiters))

// limiters are the kinds of limiters by their names.
var limiters = map[string]func() Limiter{
	"bucket of 1":         func() Limiter { return &bucket{} },
	"bucket of R/10":      func() Limiter { return &bucket{size: 0.1} },
	"bucket of R/2":       func() Limiter { return &bucket{size: 0.5} },
	"bucket of R":         func() Limiter { return &bucket{size: 1} },
	"bucket of 2R":        func() Limiter { return &bucket{size: 2} },
	"bucket of 10R":       func() Limiter { return &bucket{size: 10} },
	"nginx, burst 0":      func() Limiter { return &nginx{} },
	"nginx, burst 20":     func() Limiter { return &nginx{burst: 20} },
	"GCRA, 0.1 s":         func() Limiter { return &gcra{ahead: 0.1} },
	"GCRA, 0.5 s":         func() Limiter { return &gcra{ahead: 0.5} },
	"fixed window, 1 s":   func() Limiter { return &fixedWindow{} },
	"sliding log, 1 s":    func() Limiter { return &slidingLog{} },
	"sliding count, 1 s":  func() Limiter { return &slidingCount{length: 1} },
	"sliding count, 10 s": func() Limiter { return &slidingCount{length: 10} },
}

// rounding is what sums of times may be wrong by.
const rounding = 1e-6

// bucket holds size seconds' worth of tokens, one at least.
type bucket struct {
	size       float64
	tokens, at float64
}

func (b *bucket) Allow(t, rate float64) bool {
	b.tokens = min(b.tokens+(t-b.at)*rate, max(b.size*rate, 1)) // t is large at first: full
	b.at = t
	if b.tokens < 1-rounding {
		return false
	}
	b.tokens--
	return true
}

// nginx is limit_req with nodelay, which counts in milliseconds and thousandths of
// requests.
type nginx struct {
	burst        int
	excess, last int
}

func (n *nginx) Allow(t, rate float64) bool {
	ms := int(t * 1000)
	excess := max(n.excess-int(rate)*(ms-n.last), -1000) + 1000
	if excess > 1000*n.burst {
		return false
	}
	n.excess, n.last = excess, ms
	return true
}

// gcra is the generic cell rate algorithm: requests may come so much ahead of
// their times.
type gcra struct{ ahead, next float64 }

func (g *gcra) Allow(t, rate float64) bool {
	if t < g.next-g.ahead-rounding {
		return false
	}
	g.next = max(t, g.next) + 1/rate
	return true
}

// fixedWindow counts from one whole second to the next.
type fixedWindow struct{ window, count float64 }

func (w *fixedWindow) Allow(t, rate float64) bool {
	if window := math.Floor(t); window != w.window {
		w.window, w.count = window, 0
	}
	if w.count+1 > rate {
		return false
	}
	w.count++
	return true
}

// slidingLog counts the requests of the second before each.
type slidingLog struct{ times []float64 }

func (l *slidingLog) Allow(t, rate float64) bool {
	for len(l.times) > 0 && l.times[0] <= t-1+rounding {
		l.times = l.times[1:]
	}
	if float64(len(l.times)+1) > rate {
		return false
	}
	l.times = append(l.times, t)
	return true
}

// slidingCount counts fixed windows, and takes that part of the one before which a
// sliding window would still reach.
type slidingCount struct{ length, window, count, before float64 }

func (c *slidingCount) Allow(t, rate float64) bool {
	window := math.Floor(t / c.length)
	if window != c.window {
		c.before = 0
		if window == c.window+1 {
			c.before = c.count
		}
		c.window, c.count = window, 0
	}
	if c.before*(1-(t/c.length-window))+c.count+1 > rate*c.length {
		return false
	}
	c.count++
	return true
}

// constant returns the greatest constant rate that the limiter of that name never
// refuses. nginx allows one request in so many whole milliseconds, and a sliding
// count refuses the request that would fill the window.
func constant(name string, rate float64) float64 {
	switch name {
	case "nginx, burst 0":
		return 1000 / math.Ceil(1000/rate)
	case "sliding count, 1 s":
		return rate - 1
	case "sliding count, 10 s":
		return rate - 0.1
	}
	return rate
}
