package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
)

const (
	demoKept   = 24 * time.Hour // how long the embedded store keeps its logs
	demoCycle  = 3 * time.Hour  // each endpoint is down once in it
	demoOutage = 2 * time.Minute
)

// demoWaits are the times after which a failed delivery is tried again.
var demoWaits = []int64{8, 30, 120} // seconds

// demo is a store with made-up data that lives: events arrive every second,
// failed deliveries are tried again, old logs expire, and now and then an
// endpoint is down for a while.
type demo struct {
	server  *epcclogstest.Server
	random  *rand.Rand
	retries map[int64][]delivery // by the second in which they are due
}

// delivery is the next attempt to deliver an event.
type delivery struct {
	endpoint int // index of the integration
	job      string
	attempt  int
}

// startDemo returns a store with the logs of the last day, which lives until ctx
// ends.
func startDemo(ctx context.Context) *epcclogstest.Server {
	var integrations []epcclogstest.Option
	for i := range 3 {
		integrations = append(integrations, epcclogstest.WithIntegration(epcclogstest.SampleIntegration(i)))
	}
	d := &demo{
		server:  epcclogstest.NewServer(integrations...),
		random:  rand.New(rand.NewPCG(1, 2)), // the same history at every start
		retries: make(map[int64][]delivery),
	}
	now := time.Now()
	for at := now.Add(-demoKept); at.Before(now); at = at.Add(time.Second) {
		d.live(at)
	}
	go func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case now := <-tick.C:
				d.live(now)
				if now.Second() == 0 {
					d.expire(now.Add(-demoKept))
				}
			}
		}
	}()
	return d.server
}

// live adds the attempts of one second.
func (d *demo) live(at time.Time) {
	due := d.retries[at.Unix()]
	delete(d.retries, at.Unix())
	// More by day than by night.
	hour := float64(at.Unix()%86400) / 3600
	for n := 1 + int(d.random.ExpFloat64()*0.4*(1-math.Cos(hour/12*math.Pi))); n > 0; n-- {
		endpoint := max(0, d.random.IntN(6)-3) // the first gets most
		due = append(due, delivery{endpoint, d.uuid(), 1})
	}
	for i, next := range due {
		in := epcclogstest.SampleIntegration(next.endpoint)
		entry := epcclogstest.Log(in.ID, next.job, next.attempt, at.Add(time.Duration(i)*time.Millisecond))
		d.answer(&entry, next, at)
		d.server.AddLogs(in.ID, entry)
		if !entry.Succeeded && next.attempt <= len(demoWaits) {
			next.attempt++
			again := at.Unix() + demoWaits[next.attempt-2]
			d.retries[again] = append(d.retries[again], next)
		}
	}
}

// answer makes up what the endpoint says.
func (d *demo) answer(l *epcclogs.IntegrationLog, next delivery, at time.Time) {
	// Each endpoint has its own time to be down.
	shift := time.Duration(next.endpoint) * demoCycle / 3
	down := at.Add(shift).Sub(at.Add(shift).Truncate(demoCycle)) < demoOutage
	l.ProcessingTime = d.seconds(0.08 * float64(next.endpoint+1))
	if next.job[0] == '0' && next.job[1] == '0' { // one in 256 is refused for good
		d.fail(l, http.StatusUnprocessableEntity, fmt.Sprintf(`{"error":"unknown SKU","job":%q}`, next.job))
		return
	}
	chance := d.random.Float64()
	switch {
	case down && chance < 0.15:
		d.fail(l, 0, "")
		l.ErrorDetail = "No response from the webhook: connection timed out"
		l.ProcessingTime = 10
	case down && chance < 0.9:
		d.fail(l, http.StatusServiceUnavailable, "<html><body><h1>503 Service Unavailable</h1></body></html>")
	case chance < 0.008:
		d.fail(l, http.StatusInternalServerError, "panic: runtime error: index out of range [3] with length 3")
	case chance < 0.012:
		d.fail(l, http.StatusTooManyRequests, "slow down")
	}
}

func (d *demo) fail(l *epcclogs.IntegrationLog, status int, body string) {
	l.Succeeded, l.StatusCode, l.Body = false, status, body
	l.ErrorDetail = "Received a status code outside of 2xx range - treating webhook as a fail"
}

// seconds makes up a processing time around a median, in the unit that the
// service rounds to.
func (d *demo) seconds(median float64) float64 {
	return math.Round(min(median*math.Exp(0.6*d.random.NormFloat64()), 9)*1e4) / 1e4
}

func (d *demo) uuid() string {
	high, low := d.random.Uint64(), d.random.Uint64()
	return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", high>>32, high>>16&0xffff, high&0xfff, low>>52, low&(1<<48-1))
}

// expire deletes the logs from before a time.
func (d *demo) expire(before time.Time) {
	for i := range 3 {
		d.server.RemoveLogs(epcclogstest.SampleIntegration(i).ID, func(l epcclogs.IntegrationLog) bool {
			return l.CreatedAt().Before(before)
		})
	}
}
