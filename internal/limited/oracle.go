package limited

import "slices"

// Reachable returns the most that constant rates use of the limit while they keep to
// the goals for refusals and shares. They know everything in advance, also when the
// limit changes, and pause as the server asks, and leave a tenant half of what it asks
// for. No client runs in step with others: while they are there, its intervals differ by
// a tenth.
func (c Cell) Reachable() float64 {
	best := 0.0
	for part := 1.01; part > 0.05 && best < 0.999; part *= 0.95 {
		r := c.Mean(func(seed uint64) Result { return c.at(part, seed) })
		if r.Refused <= c.MostRefused() && r.Share <= MostShare {
			best = max(best, r.Used)
		}
	}
	return best
}

// A step is what happens next to a request of a client: it is sent, it comes to the
// limiter, or its refusal comes back.
type step struct {
	at, sent float64
	client   int
	kind     int
}

const (
	send = iota
	decide
	refuse
)

// at reads the list at that part of the limit.
func (d Drain) at(part float64, seed uint64) Result {
	s := newStore(d, seed)
	pause := map[string]float64{"": 1, "date": 1, "none": 0.375, "5": 5}[d.Pause]
	resume, shares := make([]float64, s.Clients), make([]int, s.Clients)
	var steps []step
	for i := range resume {
		steps = append(steps, step{at: 0.37 * float64(i), client: i})
	}
	now := 0.0
	for slices.Max(shares) < s.Requests {
		next := 0
		for i := range steps {
			if steps[i].at < steps[next].at {
				next = i
			}
		}
		e := steps[next]
		steps = slices.Delete(steps, next, next+1)
		now = e.at
		switch e.kind {
		case send:
			if now < resume[e.client] {
				steps = append(steps, step{at: resume[e.client], client: e.client})
				continue
			}
			steps = append(steps, step{at: now + s.interval(part, now), client: e.client},
				step{at: now + s.before(), sent: now, client: e.client, kind: decide})
		case decide:
			if ok, rest := s.allow(now); ok {
				shares[e.client]++
			} else {
				steps = append(steps, step{at: now + rest, sent: e.sent, client: e.client, kind: refuse})
			}
		case refuse:
			if e.sent >= resume[e.client] {
				resume[e.client] = now + pause
			}
		}
	}
	return s.result(now, shares)
}

// interval returns the time from one request of a client to its next.
func (s *store) interval(part, now float64) float64 {
	third := s.from <= now && now < s.to
	if (s.Tenant || s.Halves) && !third {
		return 1 / min(0.99*s.Rate, s.bound())
	}
	interval := 1 / min(part*s.Rate/float64(s.Clients), s.bound())
	if s.Tenant || s.Clients > 1 {
		interval *= 0.9 + 0.2*s.random.Float64()
	}
	return interval
}
