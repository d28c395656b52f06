package epcclogstest

import (
	"fmt"
	"slices"
	"sync"

	"github.com/epcclogs/epcclogs"
)

// store holds the integrations and their logs, in order of arrival.
//
// A slice of logs never changes after it was returned: new logs are appended
// behind it, and every other change makes a new slice. So answers are written
// without the lock.
type store struct {
	newestFirst bool // of listings; set before the first request

	mu           sync.Mutex // guards what follows
	integrations []*integration
	logs         []*epcclogs.IntegrationLog // of all integrations
}

// integration is an integration with its logs. They are in the same order in the
// store's logs.
type integration struct {
	epcclogs.Integration
	logs []*epcclogs.IntegrationLog
}

func (s *store) addIntegration(in epcclogs.Integration, logs []epcclogs.IntegrationLog) {
	in.Observes = slices.Clone(in.Observes)
	added := pointers(logs)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.find(in.ID) != nil {
		panic(fmt.Sprintf("epcclogstest: the integration %q is given twice", in.ID))
	}
	s.integrations = append(s.integrations, &integration{in, added})
	s.logs = append(s.logs, added...)
}

// integration returns an integration as it is now, and whether there is one of
// that id.
func (s *store) integration(id string) (in integration, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.find(id)
	if found == nil {
		return integration{}, false
	}
	return *found, true
}

func (s *store) allIntegrations() []epcclogs.Integration {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]epcclogs.Integration, len(s.integrations))
	for i, in := range s.integrations {
		all[i] = in.Integration
	}
	return all
}

func (s *store) allLogs() []*epcclogs.IntegrationLog {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logs
}

// add appends logs to an integration, the oldest first.
func (s *store) add(integrationID string, logs []epcclogs.IntegrationLog) {
	added := pointers(logs)
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.mustFind(integrationID)
	in.logs = append(in.logs, added...)
	s.logs = append(s.logs, added...)
}

// insert puts logs at an index of an integration's listing. They are given in
// the order of the listing.
func (s *store) insert(integrationID string, index int, logs []epcclogs.IntegrationLog) {
	added := pointers(logs)
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.mustFind(integrationID)
	if index < 0 || index > len(in.logs) {
		panic(fmt.Sprintf("epcclogstest: cannot insert logs at index %d of integration %q, which has %d logs",
			index, integrationID, len(in.logs)))
	}
	if s.newestFirst {
		index = len(in.logs) - index
		slices.Reverse(added)
	}
	inStore := 0 // index in s.logs; above 0, it is that of the integration's next log
	switch {
	case index == len(in.logs):
		inStore = len(s.logs)
	case index > 0:
		inStore = slices.Index(s.logs, in.logs[index])
	}
	in.logs = slices.Concat(in.logs[:index], added, in.logs[index:])
	s.logs = slices.Concat(s.logs[:inStore], added, s.logs[inStore:])
}

// remove deletes the logs of an integration for which f returns true, and
// returns how many there were.
func (s *store) remove(integrationID string, f func(epcclogs.IntegrationLog) bool) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.mustFind(integrationID)
	var removed []*epcclogs.IntegrationLog
	for _, l := range in.logs {
		if f(*l) {
			removed = append(removed, l)
		}
	}
	if len(removed) > 0 {
		in.logs = without(in.logs, removed)
		s.logs = without(s.logs, removed)
	}
	return len(removed)
}

func (s *store) removeIntegration(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.mustFind(id)
	s.logs = without(s.logs, in.logs)
	s.integrations = slices.DeleteFunc(s.integrations, func(other *integration) bool { return other == in })
}

// without returns the logs that are not removed. It takes one pass, since the
// removed logs are in the same order.
func without(logs, removed []*epcclogs.IntegrationLog) []*epcclogs.IntegrationLog {
	kept := make([]*epcclogs.IntegrationLog, 0, len(logs)) // with room for as many new ones
	for _, l := range logs {
		if len(removed) > 0 && l == removed[0] {
			removed = removed[1:]
			continue
		}
		kept = append(kept, l)
	}
	return kept
}

// find returns nil when there is no integration of that id. The lock is held.
func (s *store) find(id string) *integration {
	for _, in := range s.integrations {
		if in.ID == id {
			return in
		}
	}
	return nil
}

// mustFind panics when there is no integration of that id. The lock is held.
func (s *store) mustFind(id string) *integration {
	in := s.find(id)
	if in == nil {
		panic(fmt.Sprintf("epcclogstest: the server holds no integration %q", id))
	}
	return in
}

// pointers returns a pointer to a copy of each log. Each copy is allocated by
// itself, so it can be freed when the log is removed.
func pointers(logs []epcclogs.IntegrationLog) []*epcclogs.IntegrationLog {
	p := make([]*epcclogs.IntegrationLog, len(logs))
	for i, l := range logs {
		p[i] = &l
	}
	return p
}

// jobs returns the ids of the jobs of the logs, in order of their first log.
func (in integration) jobs() []string {
	var jobs []string
	seen := make(map[string]bool)
	for _, l := range in.logs {
		if job := l.JobID(); job != "" && !seen[job] {
			seen[job] = true
			jobs = append(jobs, job)
		}
	}
	return jobs
}

func (in integration) jobLogs(job string) []*epcclogs.IntegrationLog {
	var logs []*epcclogs.IntegrationLog
	for _, l := range in.logs {
		if l.JobID() == job {
			logs = append(logs, l)
		}
	}
	return logs
}
