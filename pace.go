package epcclogs

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"time"
)

// pace decides when requests are sent, so that the API's rate limit is used and
// hardly ever exceeded. All requests of a client share one.
//
// The rate begins at its bound. A 429 pauses all requests, once: those already
// under way then begin no pause of their own. After the pause the rate starts
// below the one that was refused and climbs back to it in a straight line, which
// costs as many requests as the pause did. If nothing is refused on the way, the
// limit has risen: from there the rate grows faster and faster, up to the bound.
// It starts lower the sooner the refusal came: what a limiter has saved up for a
// burst lets a rate pass for a short time, so one that passed for long was hardly
// too high. Only time in which requests wait for their turn counts.
//
// A 429 to the first request after a pause says that the pause was too short. The
// next one is twice as long, and the rate stays. A 429 to a request that came
// alone, after a time without any, is other clients' doing, and only pauses.
type pace struct {
	turn   chan struct{} // held by the request that goes next
	bound  float64       // in requests a second
	most   time.Duration // the longest pause that is waited out
	logger *slog.Logger

	mu      sync.Mutex
	refused float64       // the rate that the latest 429 refused; the bound before the first
	gap     float64       // how far below that the climb begins, as a part of it
	way     float64       // how long the climb takes, in seconds
	worked  float64       // seconds since the latest pause in which requests waited for their turn
	sent    int           // requests since the latest pause
	due     time.Time     // when the latest request was due
	resume  time.Time     // when the latest pause ends
	length  time.Duration // of the latest pause
	paused  chan struct{} // closed when the next one begins
	logged  float64       // the rate in the latest log record
}

const (
	// defaultRate is what the API's documents allow a production store.
	defaultRate = 100.0

	// saved is what a limiter is thought to save up for a burst, in seconds at its
	// rate. One that saves more is found in two or three pauses instead of one, and
	// gives back during a pause what that costs.
	saved = 0.25

	// minGap keeps refusals rare: 3 % less makes the climb 67 times as long as the
	// pause. maxGap is for a rate that was refused at once.
	minGap, maxGap = 0.03, 0.5

	// minPause is what a pause is taken to cost at least, so that a server that asks
	// for very short ones is not refused all the time.
	minPause = time.Second

	// maxDoubled is how long a pause may become by doubling.
	maxDoubled = 10 * time.Second

	// growth is the time in which a rate that is refused no more grows by the factor
	// e. The first seconds change little: a burst must be used up before the refusal
	// comes. The rate is twofold after 11 seconds.
	growth = 13.0

	// lateness is what requests make up for when timers are late, and no stall of a
	// busy machine.
	lateness = 50 * time.Millisecond

	// idle is the time without requests after which one comes alone.
	idle = 2 * time.Second
)

// sending tells when a request was sent, and how the pace stood then.
type sending struct {
	at     time.Time
	rate   float64
	worked float64
	first  bool // after a pause
	alone  bool // after a time without requests
	logged bool // whether the rate is worth a log record
}

// pauseError is the time for which the client is still paused.
type pauseError time.Duration

func (e pauseError) Error() string {
	return fmt.Sprintf("an earlier response paused the client for another %v", time.Duration(e))
}

// newPace returns a pace with a bound in requests a second, where 0 means the
// default, and the longest pause that is waited out.
func newPace(bound float64, most time.Duration, logger *slog.Logger) *pace {
	if bound == 0 {
		bound = defaultRate
	}
	return &pace{
		turn: make(chan struct{}, 1), bound: bound, most: most, logger: logger,
		refused: bound, logged: bound, paused: make(chan struct{}),
	}
}

// rate returns the current rate. It is called with mu held.
func (p *pace) rate() float64 {
	factor := math.Exp(math.Pow((p.worked-p.way)/growth, 2))
	if p.worked < p.way {
		factor = 1 - p.gap*(p.way-p.worked)/p.way
	}
	return min(p.refused*factor, p.bound)
}

// wait returns when a request may be sent. A pause that the deadline of ctx does
// not outlast, or that is too long, is a pauseError at once.
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
			s, wait := p.send(waited)
			if wait == 0 {
				if s.logged {
					p.log(ctx, s.rate, 0)
				}
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

// watch returns a pauseError if a call with ctx does not wait for the end of the
// pause, and else a channel that is closed when the next pause begins.
func (p *pace) watch(ctx context.Context) (paused <-chan struct{}, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	left := time.Until(p.resume)
	deadline, ok := ctx.Deadline()
	if left > p.most || left > 0 && ok && !deadline.After(p.resume) {
		return nil, pauseError(left)
	}
	return p.paused, nil
}

// send takes note that the request that holds the turn is sent now, or returns how
// long it has to wait until then. waited tells that it has done so before.
func (p *pace) send(waited bool) (s sending, wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, rate := time.Now(), p.rate()
	interval := float64(time.Second) / rate
	if interval > 1 {
		interval = math.Ceil(interval) // not even a nanosecond too early
	}
	due := p.due.Add(time.Duration(min(interval, math.MaxInt64/2)))
	if due.Before(p.resume) {
		due = p.resume
	}
	late := now.Sub(due)
	if late < 0 {
		return s, -late
	}
	s = sending{at: now, rate: rate, worked: p.worked, first: p.sent == 0, alone: late > idle}
	if s.logged = rate > 1.5*p.logged || rate == p.bound && rate > p.logged; s.logged {
		p.logged = rate
	}
	p.sent++
	p.due = now
	if waited && late < lateness {
		p.due = due // the next requests make up for it
		p.worked += interval / float64(time.Second)
	}
	return s, 0
}

// throttled takes note of a 429 to s, which asks for a pause. It returns how much
// of the pause is left, and whether s was sent after the one before had ended, so
// that the server refused what was allowed.
func (p *pace) throttled(ctx context.Context, s sending, pause time.Duration) (left time.Duration, began bool) {
	p.mu.Lock()
	now := time.Now()
	if s.at.Before(p.resume) {
		defer p.mu.Unlock()
		return max(p.resume.Sub(now), 0), false
	}
	switch {
	case s.alone:
	case s.first:
		pause = max(pause, min(2*p.length, maxDoubled, p.most))
	default:
		p.refused = s.rate
		p.gap = min(max(saved/(s.worked+saved), minGap), maxGap)
		p.way = 2 / p.gap * max(pause, minPause).Seconds()
	}
	p.worked, p.sent = 0, 0
	p.length, p.resume = pause, now.Add(pause)
	close(p.paused)
	p.paused = make(chan struct{})
	rate := p.rate()
	p.logged = rate
	p.mu.Unlock()
	p.log(ctx, rate, pause)
	return pause, true
}

// log tells the rate, and the pause that comes before it. It is called without mu,
// which the logger might wait for.
func (p *pace) log(ctx context.Context, rate float64, pause time.Duration) {
	p.logger.LogAttrs(ctx, slog.LevelDebug, "epcclogs: pace",
		slog.Float64("rate", math.Round(100*rate)/100), slog.Duration("pause", pause))
}
