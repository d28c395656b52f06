package main

import (
	"context"
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
	done  chan struct{}
	value any
	err   error
	until time.Time // set before done is closed, under the lock
	next  *answer   // that is being made to replace it
}

func newCache(keep time.Duration) *cache {
	return &cache{keep: keep, answers: make(map[any]*answer), slots: make(chan struct{}, atOnce)}
}

// shared returns the answer to a question, which must be comparable.
func shared[T any](ctx context.Context, c *cache, question any, make func(context.Context) (T, error)) (T, error) {
	a := c.find(question, func(a *answer) {
		c.slots <- struct{}{}
		defer func() { <-c.slots }()
		a.value, a.err = make(context.WithoutCancel(ctx))
	})
	select {
	case <-a.done:
		value, _ := a.value.(T)
		return value, a.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// find returns an answer. When one has just become too old it is still returned, and the
// next one is made meanwhile.
func (c *cache) find(question any, fill func(*answer)) *answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	for q, a := range c.answers {
		if !a.until.IsZero() && a.next == nil && (now.After(a.until.Add(2*c.keep)) || a.err != nil && now.After(a.until) || len(c.answers) > maxAnswers) {
			delete(c.answers, q)
		}
	}
	a := c.answers[question]
	if a == nil {
		a = c.start(question, fill)
		c.answers[question] = a
	} else if !a.until.IsZero() && now.After(a.until) && a.next == nil {
		a.next = c.start(question, fill)
	}
	return a
}

func (c *cache) start(question any, fill func(*answer)) *answer {
	a := &answer{done: make(chan struct{})}
	go func() {
		fill(a)
		keep := c.keep
		if a.err != nil {
			keep = min(keep, keepError)
		}
		c.mu.Lock()
		a.until = time.Now().Add(keep)
		c.answers[question] = a
		c.mu.Unlock()
		close(a.done)
	}()
	return a
}
