//go:build go1.25

package main

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

// wait lets time pass, and then what is shown at its end be shown.
func wait(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		p := &progress{w: &b}
		stop := p.start()
		p.report(40, 0)
		wait(10 * time.Second)
		p.report(140, 0)
		wait(10 * time.Second)
		p.report(240, 50)
		wait(15 * time.Second)
		stop()
		assert.Equal(t, "40 records\n140 records, 5/s\n240 of 290 records, 7/s, 8s left\n", b.String())
	})
}

func TestProgressOnTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		p := &progress{w: &b, terminal: true}
		stop := p.start()
		p.report(0, 0)
		wait(200 * time.Millisecond)
		p.report(100, 400)
		wait(300 * time.Millisecond)
		p.report(500, 0)
		stop()
		var lines []string
		for _, line := range strings.Split(b.String(), "\r") {
			lines = append(lines, strings.TrimRight(line, " "))
		}
		assert.Equal(t, []string{"", "0 records", "100 of 500 records, 250/s, 2s left", "500 records, 1000/s                                                   \n"}, lines)
	})
}
