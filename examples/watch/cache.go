package main

import (
	"context"
	"maps"
	"sync"
	"time"
)

const (
	keepError  = time.Second // how long an error is the answer
	atOnce     = 2           // answers that are made at a time
	maxAnswers = 100
)

// cache makes each answer once for all that ask in an interval. It goes on although the
// one that asked first has gone.
type cache struct {
	keep time.Duration

	mu      sync.Mutex
	answers map[any]*answer
	slots   chan struct{}
}

// answer is an answer that is being made, or done.
type answer struct {
	done    chan struct{}
	value   any
	err     error
	until   time.Time // zero before it is done
	renewed bool      // another one is being made to replace it
}

func newCache(keep time.Duration) *cache {
	return &cache{keep: keep, answers: make(map[any]*answer), slots: make(chan struct{}, atOnce)}
}

// get returns the answer to a question, which must be comparable. When one has just become
// too old it is still returned, and the next one is made meanwhile.
func (c *cache) get(ctx context.Context, question any, read func(context.Context) (any, error)) (any, error) {
	a := c.find(question, func(next *answer) {
		c.slots <- struct{}{}
		defer func() { <-c.slots }()
		next.value, next.err = read(context.WithoutCancel(ctx))
	})
	select {
	case <-a.done:
		return a.value, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (c *cache) find(question any, fill func(*answer)) *answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	maps.DeleteFunc(c.answers, func(_ any, a *answer) bool {
		return !a.until.IsZero() && !a.renewed &&
			(now.After(a.until.Add(2*c.keep)) || a.err != nil && now.After(a.until) || len(c.answers) > maxAnswers)
	})
	a := c.answers[question]
	if a != nil && (a.renewed || a.until.IsZero() || !now.After(a.until)) {
		return a
	}
	next := &answer{done: make(chan struct{})}
	go func() {
		fill(next)
		c.mu.Lock()
		defer c.mu.Unlock()
		next.until = time.Now().Add(c.keep)
		if next.err != nil {
			next.until = time.Now().Add(min(c.keep, keepError))
		}
		c.answers[question] = next
		close(next.done)
	}()
	if a != nil {
		a.renewed = true
		return a
	}
	c.answers[question] = next
	return next
}
