package epcclogstest

import (
	"fmt"
	"slices"

	"github.com/epcclogs/epcclogs"
)

// integration is an integration with its logs, rendered once and for all.
type integration struct {
	record
	logs []record
}

// record is one element of a listing.
type record struct {
	id   string
	job  string // of a log: its job's id
	json []byte
}

func (s *Server) addIntegration(in epcclogs.Integration, logs []epcclogs.IntegrationLog) {
	if s.integration(in.ID) != nil {
		panic(fmt.Sprintf("epcclogstest: integration %q given twice", in.ID))
	}
	s.integrations = append(s.integrations, &integration{
		record: record{id: in.ID, json: appendIntegration(nil, in)},
		logs:   renderLogs(logs),
	})
}

// integration returns nil when there is none of that id.
func (s *Server) integration(id string) *integration {
	for _, in := range s.integrations {
		if in.id == id {
			return in
		}
	}
	return nil
}

// AddLogs puts logs, in their order, at the end of an integration's listing. It
// panics when the server does not hold the integration.
func (s *Server) AddLogs(integrationID string, logs ...epcclogs.IntegrationLog) {
	records := renderLogs(logs)
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.mustIntegration(integrationID)
	in.logs = append(in.logs, records...)
}

// PrependLogs puts logs, in their order, at the front of an integration's
// listing, as new records arrive in one that has the newest first: all others
// move to higher offsets, and a client that is paging meets some of them again.
// It panics when the server does not hold the integration.
func (s *Server) PrependLogs(integrationID string, logs ...epcclogs.IntegrationLog) {
	records := renderLogs(logs)
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.mustIntegration(integrationID)
	in.logs = slices.Concat(records, in.logs)
}

func (s *Server) mustIntegration(id string) *integration {
	in := s.integration(id)
	if in == nil {
		panic(fmt.Sprintf("epcclogstest: no integration %q", id))
	}
	return in
}

// storeLogs returns the logs of all integrations, one list each.
func (s *Server) storeLogs() [][]record {
	lists := make([][]record, len(s.integrations))
	for i, in := range s.integrations {
		lists[i] = in.logs
	}
	return lists
}

func (s *Server) integrationRecords() []record {
	records := make([]record, len(s.integrations))
	for i, in := range s.integrations {
		records[i] = in.record
	}
	return records
}

// jobs returns the distinct jobs of the logs, in order of first appearance.
func (in *integration) jobs() []record {
	var jobs []record
	seen := make(map[string]bool)
	for _, l := range in.logs {
		if l.job == "" || seen[l.job] {
			continue
		}
		seen[l.job] = true
		jobs = append(jobs, record{id: l.job, json: appendIdentifier(nil, l.job, "integration-job")})
	}
	return jobs
}

func (in *integration) jobLogs(job string) []record {
	var logs []record
	for _, l := range in.logs {
		if l.job == job {
			logs = append(logs, l)
		}
	}
	return logs
}

// window returns a copy of at most limit records from offset on, taken from the
// lists as if they were one, and the number of records in all of them.
func window(lists [][]record, offset, limit int) (page []record, total int) {
	for _, list := range lists {
		total += len(list)
		if offset >= len(list) {
			offset -= len(list)
			continue
		}
		list = list[offset:]
		offset = 0
		page = append(page, list[:min(limit-len(page), len(list))]...)
	}
	return page, total
}
