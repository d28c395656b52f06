package epcclogs

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"time"
)

// pace decides when requests are sent: as fast as the API allows, and so that hardly
// any is refused. All requests of a client share one.
//
//   - The rate begins at its bound.
//   - A 429 pauses all requests, once. Requests that were under way at that time
//     begin no pause of their own. They make it longer if the server asks them to wait
//     beyond its end.
//   - After the pause, the rate starts below the one that was refused, and climbs
//     back to it in a straight line that costs as many requests as the pause did.
//     The sooner the refusal came, compared to the pause, the lower is the start:
//     limiters that have saved up for a burst let any rate pass for a while.
//   - If nothing is refused on the way, the limit has risen. Then the rate grows
//     faster and faster, up to the bound: it is twice as high after 11 seconds, and 16
//     times after 22.
//   - Only time in which requests wait for their turn counts.
//   - A 429 to the first request after a pause means that the pause was too short.
//     The next one is longer, and the rate stays.
//   - A 429 to a request that came after a time without any is caused by other
//     clients. It changes no rate either.
type pace struct {
	turn   chan struct{} // held by the request that goes next
	bound  float64       // in requests a second
	most   time.Duration // the longest pause that is waited out
	logger *slog.Logger

	mu      sync.Mutex
	refused float64       // the rate that was refused last; the bound when none was
	gap     float64       // how far below it the climb starts, as a part of it
	climb   float64       // how long the climb takes, in seconds
	worked  float64       // seconds since the latest pause in which requests waited for their turn
	due     time.Time     // when the latest request was due
	passed  time.Time     // when the latest request succeeded
	length  time.Duration // of the latest pause
	resume  time.Time     // when it ends
	paused  chan struct{} // closed when the next one begins, or it gets longer
	logged  float64       // the rate in the latest log record
}

const (
	defaultRate   = 100.0                 // what the API's documents allow a production store
	paceBurst     = 0.25                  // what a limiter may save up, as a part of the pause; where it is more, a pause costs less
	paceMinGap    = 0.03                  // a climb 67 times as long as the pause, so that refusals stay rare
	paceMaxGap    = 0.5                   // after a refusal at once
	paceMinCost   = time.Second           // of a pause, so that the shortest ones are not provoked all the time
	paceLonger    = 17                    // tenths of the pause before; whole multiples could meet the same part of a window
	paceMaxLonger = 10 * time.Second      // that a pause becomes in this way: the longest window that limiters use
	paceDoubling  = 10.8                  // seconds after the climb to twice the rate
	paceLateness  = 50 * time.Millisecond // of timers, which the next requests make up for; more is a stall
	paceIdle      = 2 * time.Second       // without requests, after which one comes alone; more than a stall
)

// sending tells when a request was sent, and how the pace was then.
type sending struct {
	at     time.Time
	rate   float64
	worked float64
	first  bool // since the pause
	alone  bool
}

// pauseError is the time for which the client is still paused.
type pauseError time.Duration

func (e pauseError) Error() string {
	return fmt.Sprintf("an earlier 429 pauses the client for another %v", time.Duration(e))
}

// rateError is the wait for the next request at a rate, when a call has not that long.
type rateError struct {
	wait time.Duration
	rate float64
}

func (e rateError) Error() string {
	return fmt.Sprintf("the rate limit of %.3g requests a second allows the next one in %v, after the deadline of the context",
		e.rate, e.wait.Round(time.Millisecond))
}

// Is reports whether target is context.DeadlineExceeded.
func (e rateError) Is(target error) bool { return target == context.DeadlineExceeded }

// newPace returns a pace with a bound in requests a second (0 means the default).
// most is the longest pause that calls wait for.
func newPace(bound float64, most time.Duration, logger *slog.Logger) *pace {
	if bound == 0 {
		bound = defaultRate
	}
	return &pace{
		turn: make(chan struct{}, 1), bound: bound, most: most, logger: logger,
		refused: bound, logged: bound, paused: make(chan struct{}),
	}
}

// rate is called with mu held.
func (p *pace) rate() float64 {
	if p.worked < p.climb {
		missing := p.gap * (1 - p.worked/p.climb)
		return p.refused * (1 - missing)
	}
	past := (p.worked - p.climb) / paceDoubling
	return min(p.refused*math.Exp2(past*past), p.bound)
}

// next returns when the next request may be sent, and how long after the latest one. It
// is called with mu held.
func (p *pace) next() (due time.Time, interval float64) {
	interval = float64(time.Second) / p.rate()
	if interval > 1 {
		interval = math.Ceil(interval) // not a nanosecond too early
	}
	due = p.due.Add(time.Duration(min(interval, math.MaxInt64/2)))
	if due.Before(p.resume) {
		due = p.resume
	}
	return due, interval
}

// wait returns when a request may be sent. It returns the errors of watch.
func (p *pace) wait(ctx context.Context) (sending, error) {
	turn := p.turn // nil once it is held
	waited := false
	for {
		paused, err := p.watch(ctx)
		if err != nil {
			return sending{}, err
		}
		var timer <-chan time.Time
		if turn == nil {
			s, wait, log := p.send(waited)
			if log {
				p.logger.LogAttrs(ctx, slog.LevelDebug, "epcclogs: pace", slog.Float64("rate", math.Round(100*s.rate)/100))
			}
			if wait == 0 {
				return s, nil
			}
			timer = time.After(wait)
		}
		select {
		case turn <- struct{}{}:
			turn = nil
			defer func() { <-p.turn }()
		case <-timer:
			waited = true
		case <-paused:
		case <-ctx.Done():
			return sending{}, ctx.Err()
		}
	}
}

// watch returns a pauseError if the client is paused for too long, or beyond the
// deadline of ctx, and a rateError if no request may be sent before that deadline.
// Otherwise it returns a channel that is closed when the next pause begins or this one
// gets longer.
func (p *pace) watch(ctx context.Context) (paused <-chan struct{}, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	left := time.Until(p.resume)
	deadline, ok := ctx.Deadline()
	if left > p.most || left > 0 && ok && !deadline.After(p.resume) {
		return nil, pauseError(left)
	}
	due, _ := p.next()
	if wait := time.Until(due); wait > 0 && ok && !deadline.After(due) {
		return nil, rateError{wait, p.rate()}
	}
	return p.paused, nil
}

// send notes that the request that holds the turn is sent now, or returns how long
// it has to wait. waited says whether it has waited before. log says whether the rate
// has changed by much.
func (p *pace) send(waited bool) (s sending, wait time.Duration, log bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, rate := time.Now(), p.rate()
	due, interval := p.next()
	late := now.Sub(due)
	if late < 0 {
		return s, -late, false
	}
	s = sending{at: now, rate: rate, worked: p.worked, first: p.due.Before(p.resume), alone: late > paceIdle}
	p.due = now
	if waited && late < paceLateness {
		p.due = due
		p.worked += interval / float64(time.Second)
	}
	if change := rate / p.logged; change >= 1.25 || change <= 0.8 || change > 1 && rate == p.bound {
		p.logged, log = rate, true
	}
	return s, 0, log
}

// succeeded notes that the API let a request through.
func (p *pace) succeeded() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.passed = time.Now()
}

// throttled notes a 429 to s, after which the client pauses. asked says whether the
// server asks for that time. throttled returns how much of the pause is left. free
// says that the 429 is no reason to give up: another one had begun the pause, or the
// API has let a request through not long ago.
func (p *pace) throttled(s sending, pause time.Duration, asked bool) (left time.Duration, free bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	began := !s.at.Before(p.resume)
	switch left = max(p.resume.Sub(now), 0); {
	case !began && (!asked || pause <= left):
		return left, true
	case !began, s.alone:
	case s.first:
		pause = max(pause, min(paceLonger*min(p.length, paceMaxLonger)/10, paceMaxLonger, p.most))
	default:
		cost := max(pause, paceMinCost).Seconds() // at the rate that was refused
		burst := paceBurst * cost
		p.refused = s.rate
		p.gap = min(max(burst/(burst+s.worked), paceMinGap), paceMaxGap)
		p.climb = 2 * cost / p.gap // on average, half of the gap is missing
	}
	p.worked, p.length, p.resume = 0, pause, now.Add(pause)
	close(p.paused)
	p.paused = make(chan struct{})
	return pause, !began || !p.resume.After(p.passed.Add(p.most))
}
