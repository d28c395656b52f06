package main

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// progress shows how many records an export has written, how fast they come, and
// how long it will still take: on a terminal in one line that is written anew
// five times a second, elsewhere in a line every ten seconds.
type progress struct {
	w        io.Writer
	terminal bool

	mu            sync.Mutex
	started       time.Time
	first         int // records at the beginning
	records, left int
}

// report takes how many records are in the file and how many are left in the
// list, 0 where that is not known. The first call is the beginning.
func (p *progress) report(records, left int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.started.IsZero() {
		p.started, p.first = time.Now(), records
	}
	p.records, p.left = records, left
}

// start begins to show the progress, until stop is called.
func (p *progress) start() (stop func()) {
	every := 10 * time.Second
	if p.terminal {
		every = time.Second / 5
	}
	ticker := time.NewTicker(every)
	stopping, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-ticker.C:
				p.show()
			case <-stopping:
				return
			}
		}
	}()
	return func() {
		ticker.Stop()
		close(stopping)
		<-stopped
		if p.terminal {
			p.show()
			_, _ = fmt.Fprintln(p.w)
		}
	}
}

// show writes a line. An error is of no importance.
func (p *progress) show() {
	if p.terminal {
		_, _ = fmt.Fprintf(p.w, "\r%-70s", p)
	} else {
		_, _ = fmt.Fprintln(p.w, p)
	}
}

func (p *progress) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := fmt.Sprintf("%d records", p.records)
	if p.left > 0 {
		text = fmt.Sprintf("%d of %d records", p.records, p.records+p.left)
	}
	elapsed, written := time.Since(p.started), p.records-p.first
	if written == 0 {
		return text
	}
	text += fmt.Sprintf(", %.0f/s", float64(written)/elapsed.Seconds())
	if p.left > 0 {
		left := time.Duration(float64(elapsed) / float64(written) * float64(p.left))
		text += fmt.Sprintf(", %v left", left.Round(time.Second))
	}
	return text
}
