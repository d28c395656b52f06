package epcclogs

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// pace decides when requests are sent, so that the API's rate limit is used and
// hardly ever exceeded. All requests of a client share one.
//
// Requests flow freely until the first 429, or evenly at the rate of
// WithRateLimit. A 429 pauses them all, once: those that were under way then
// begin no pause of their own. After the first one the rate is 97 a second, for
// the 100 that the API's documents allow a production store. After a later one it
// is 0.97 times what the server took since the pause before: the requests sent,
// over the time that took and a tenth of a second more, which is what limiters
// save up for a burst; but within 0.25 and 0.97 times the rate before, and one a
// second at least. Each second raises it by half a thousandth, above 97 only if it
// is one of work, and never above WithRateLimit.
type pace struct {
	turn chan struct{} // held by the request that goes next

	mu     sync.Mutex
	limit  float64       // of WithRateLimit, in requests a second; 0: none
	most   time.Duration // the longest pause that is waited out
	rate   float64       // as it is now; 0: free
	due    time.Time     // when the latest request was due
	sent   sending       // the latest request
	resume time.Time     // when the latest pause ends
	paused chan struct{} // closed when the next one begins
}

const (
	firstRate = 97.0
	minRate   = 1.0
	recovery  = 0.0005                 // of the rate, each second
	saved     = 100 * time.Millisecond // what limiters save up
	idle      = 2 * time.Second        // a gap that ends a stretch of work, which no stall of a busy machine does
)

// sending tells when a request was sent, and what it has to do with the rate: the
// requests before it in one stretch of work, and when that began.
type sending struct {
	at     time.Time
	since  time.Time
	before int
}

// newPace returns a pace with a limit in requests a second, or 0 for none, and the
// longest pause that is waited out.
func newPace(limit float64, most time.Duration) *pace {
	return &pace{turn: make(chan struct{}, 1), limit: limit, most: most, rate: limit, paused: make(chan struct{})}
}

// pauseError is the time for which the client is still paused.
type pauseError time.Duration

func (e pauseError) Error() string {
	return fmt.Sprintf("an earlier response paused the client for another %v", time.Duration(e))
}

// wait returns when a request may be sent. A pause that the deadline of ctx does
// not outlast, or that is too long, is a pauseError at once.
func (p *pace) wait(ctx context.Context) (sending, error) {
	turn := p.turn // nil once it is held
	waited := false
	for {
		s, wait, paused, err := p.try(ctx, turn == nil, waited)
		if err != nil || !s.at.IsZero() {
			return s, err
		}
		var timer <-chan time.Time
		if turn == nil {
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
			return s, ctx.Err()
		}
	}
}

// try sends the request that holds the turn, if it is due, and tells how long to
// wait if it is not, and what may cut that wait.
func (p *pace) try(ctx context.Context, turn, waited bool) (s sending, wait time.Duration, paused <-chan struct{}, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	deadline, ok := ctx.Deadline()
	if left := p.resume.Sub(now); left > p.most || left > 0 && ok && !deadline.After(p.resume) {
		return s, 0, nil, pauseError(left)
	}
	if !turn {
		return s, 0, p.paused, nil
	}
	due, interval := p.resume, time.Duration(0)
	if p.rate > 0 {
		interval = time.Duration(min(1/p.rate, 1e9) * float64(time.Second))
		if next := p.due.Add(interval); next.After(due) {
			due = next
		}
	}
	if wait := due.Sub(now); wait > 0 {
		return s, wait, p.paused, nil
	}

	gap := now.Sub(p.sent.at)
	if p.rate > 0 && !p.sent.at.IsZero() {
		raised := p.rate * (1 + recovery*gap.Seconds())
		if gap > idle+interval {
			raised = max(p.rate, min(raised, firstRate))
		}
		p.rate = raised
		if p.limit > 0 {
			p.rate = min(p.rate, p.limit)
		}
	}
	s = sending{at: now, since: p.sent.since, before: p.sent.before + 1}
	if gap > idle+interval || p.sent.at.Before(p.resume) {
		s.since, s.before = now, 0
	}
	p.sent, p.due = s, now
	if waited && now.Sub(due) < saved/2 {
		p.due = due // the timer was late: the next ones make up for it
	}
	return s, 0, nil, nil
}

// throttled takes note of a 429 to s, which asks for a pause. It returns how much
// of the pause is left, and whether s was sent after the one before had ended, so
// that the server refused what was allowed.
func (p *pace) throttled(s sending, pause time.Duration) (left time.Duration, began bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if s.at.Before(p.resume) {
		return max(p.resume.Sub(now), 0), false
	}
	lone := s.before == 0 && s.at.Sub(p.resume) > idle // others use up the limit: it tells nothing of the rate
	p.resume = now.Add(pause)
	close(p.paused)
	p.paused = make(chan struct{})

	before := p.rate
	if before == 0 {
		p.rate = firstRate
	} else if !lone {
		took := float64(s.before) / (s.at.Sub(s.since) + saved).Seconds()
		p.rate = max(min(0.97*took, 0.97*before), 0.25*before, min(minRate, before))
	}
	if p.limit > 0 {
		p.rate = min(p.rate, p.limit)
	}
	return pause, true
}
