package epcclogstest

import "sync"

// schedule says which of the coming requests fail.
type schedule struct {
	mu     sync.Mutex    // guards what follows
	passed int           // requests so far
	at     map[int]Fault // by number of the request
	queue  []queued
}

type queued struct {
	n     int // requests left
	fault Fault
}

func (s *schedule) add(n int, f Fault) {
	if n <= 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = append(s.queue, queued{n, f})
}

// addAt sets the fault of the k-th request from now on.
func (s *schedule) addAt(k int, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at == nil {
		s.at = make(map[int]Fault)
	}
	s.at[s.passed+k] = f
}

// next returns the fault of the request that has just arrived.
func (s *schedule) next() Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.passed++
	if f, ok := s.at[s.passed]; ok {
		delete(s.at, s.passed)
		return f
	}
	if len(s.queue) == 0 {
		return Fault{}
	}
	f := s.queue[0].fault
	if s.queue[0].n--; s.queue[0].n == 0 {
		s.queue = s.queue[1:]
	}
	return f
}
