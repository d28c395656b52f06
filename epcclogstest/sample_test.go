package epcclogstest_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
)

var uuid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func TestSampleLogsArePrefixes(t *testing.T) {
	all := epcclogstest.SampleLogs("some-id", 500)
	for _, n := range []int{0, 1, 2, 99, 499, 500} {
		if got := epcclogstest.SampleLogs("some-id", n); len(got) != n || !reflect.DeepEqual(got, all[:n]) {
			t.Errorf("%d of the records differ", n)
		}
	}
	if other := epcclogstest.SampleLogs("other-id", 1); other[0].ID == all[0].ID {
		t.Error("another integration has the same logs")
	}
	if got := epcclogstest.SampleLogs("some-id", -1); len(got) != 0 {
		t.Error(got)
	}
}

// These never change, so that users can write them into their tests.
func TestSamplesAreFixed(t *testing.T) {
	in := epcclogstest.SampleIntegration(0)
	l := epcclogstest.SampleLogs(in.ID, 1)[0]
	at := time.Date(2026, time.May, 1, 0, 0, 0, 0, time.UTC)
	if got := epcclogstest.Log("hook-1", "job-1", 1, at).ID; got != "fb03ad72-ceb7-47b0-92d8-26e86a4251be" {
		t.Error(got)
	}
	if in.ID != "ab53f2ff-6d26-4936-98bf-0a001c96eb87" || l.ID != "bcbbdb4d-1168-4719-a0f3-392817c6b216" {
		t.Errorf("integration %s, log %s", in.ID, l.ID)
	}
}

func TestLog(t *testing.T) {
	at := time.Date(2026, time.May, 1, 2, 0, 0, 123, time.FixedZone("", 2*60*60))
	l := epcclogstest.Log("i1", "j1", 2, at)
	srv := newServer(t, epcclogstest.WithIntegration(epcclogs.Integration{ID: "i1"}, l))
	_, v := get(t, srv, "/v2/integrations/i1/logs")
	equal(t, v["data"], `[{
		"id": "`+l.ID+`", "type": "integration", "succeeded": true, "attempt": 2, "body": "", "status_code": 200, "error_detail": "",
		"relationships": {
			"integration": {"data": {"id": "i1", "type": "integration"}},
			"job": {"data": {"id": "j1", "type": "integration-job"}}},
		"meta": {"timestamps": {"created_at": "2026-05-01T00:00:00.000000123Z"}}}]`)
	if !uuid.MatchString(l.ID) || l != epcclogstest.Log("i1", "j1", 2, at.UTC()) {
		t.Error(l.ID)
	}
	seen := map[string]bool{l.ID: true}
	for _, other := range []epcclogs.IntegrationLog{
		epcclogstest.Log("i2", "j1", 2, at), epcclogstest.Log("i1", "j2", 2, at), epcclogstest.Log("i1", "j1", 1, at),
		epcclogstest.Log("i1", "j1", 2, at.Add(1)), epcclogstest.Log("", "i1j1", 2, at), epcclogstest.Log("i1j1", "", 2, at),
	} {
		if seen[other.ID] {
			t.Errorf("%+v has the id of another", other)
		}
		seen[other.ID] = true
	}
}

func TestSampleLogsAreRealistic(t *testing.T) {
	const n = 20_000
	logs := epcclogstest.SampleLogs("some-id", n)
	seen := make(map[string]bool)
	attempts := make(map[string]int) // of a job
	statuses, byAttempt := make(map[int]int), make(map[int]int)
	failed, nanoseconds, short, longest, empty := 0, 0, 0, 0, 0
	for i, l := range logs {
		if !uuid.MatchString(l.ID) || !uuid.MatchString(l.JobID()) || seen[l.ID] {
			t.Fatalf("ids %s, %s", l.ID, l.JobID())
		}
		seen[l.ID] = true
		if l.IntegrationID() != "some-id" || l.Relationships.Integration.Data.Type != "integration" ||
			l.Relationships.Job.Data.Type != "integration-job" || l.Type != "integration" {
			t.Fatalf("%+v", l)
		}
		if l.Attempt != attempts[l.JobID()]+1 {
			t.Fatalf("attempt %d of job %s after %d", l.Attempt, l.JobID(), attempts[l.JobID()])
		}
		attempts[l.JobID()] = l.Attempt
		if i > 0 && !l.CreatedAt().After(logs[i-1].CreatedAt()) {
			t.Fatalf("record %d is not later", i)
		}
		if l.CreatedAt().Nanosecond()%1000 != 0 {
			nanoseconds++
		}
		if (l.StatusCode == 200) != l.Succeeded || l.Succeeded != (l.ErrorDetail == "") || l.ProcessingTime <= 0 {
			t.Fatalf("%+v", l)
		}
		if !l.Succeeded {
			failed++
		}
		statuses[l.StatusCode]++
		byAttempt[l.Attempt]++
		longest = max(longest, len(l.Body))
		if len(l.Body) == 0 {
			empty++
		}
		if len(l.Body) < 200 {
			short++
		}
	}
	if failed < n/10 || failed > n/5 {
		t.Errorf("%d failed", failed)
	}
	if len(byAttempt) != 4 || byAttempt[1] == 0 || byAttempt[4] == 0 {
		t.Errorf("attempts %v", byAttempt)
	}
	if len(statuses) != 5 || statuses[200]*statuses[404]*statuses[500]*statuses[503]*statuses[0] == 0 {
		t.Errorf("statuses %v", statuses)
	}
	if longest != 4096 || empty == 0 || short < n*3/4 || nanoseconds < n*9/10 {
		t.Errorf("longest body %d, %d empty, %d short; %d times in nanoseconds", longest, empty, short, nanoseconds)
	}
}

func TestSampleIntegrations(t *testing.T) {
	seen := make(map[string]bool)
	for i := range 100 {
		in := epcclogstest.SampleIntegration(i)
		if !reflect.DeepEqual(in, epcclogstest.SampleIntegration(i)) {
			t.Errorf("%d differs from itself", i)
		}
		if !uuid.MatchString(in.ID) || seen[in.ID] || seen[in.Name] || in.Name == "" || len(in.Observes) == 0 {
			t.Errorf("%+v", in)
		}
		seen[in.ID], seen[in.Name] = true, true
		created, updated := in.Meta.Timestamps.CreatedAt, in.Meta.Timestamps.UpdatedAt
		if !created.Before(updated) || !updated.Before(epcclogstest.SampleLogs(in.ID, 1)[0].CreatedAt()) {
			t.Errorf("created %v, updated %v", created, updated)
		}
		if want := []string{"webhook", "aws_sqs", "stomp"}[i%3]; in.IntegrationType != want {
			t.Errorf("%d is %s", i, in.IntegrationType)
		}
		in.Observes[0] = "changed"
	}
	if in := epcclogstest.SampleIntegration(-4); in.Observes[0] == "changed" || !uuid.MatchString(in.ID) {
		t.Errorf("%+v", in)
	}
}

func TestDefaultServerHoldsTheSamples(t *testing.T) {
	from := time.Now()
	srv := newServer(t)
	until := time.Now()
	for i := range 3 {
		in := epcclogstest.SampleIntegration(i)
		if !in.Enabled {
			t.Errorf("%s is not enabled", in.Name)
		}
		_, v := get(t, srv, "/v2/integrations/"+in.ID+"/logs?page[limit]=100&page[offset]=249")
		equal(t, v["results"], `{"total": 250}`)
		want := epcclogstest.SampleLogs(in.ID, 250)[249]
		b, _ := json.Marshal([]string{want.ID})
		if got, _ := json.Marshal(ids(v)); string(got) != string(b) {
			t.Errorf("%s, not %s", got, b)
		}
		if at := created(t, v)[0]; at.Before(from) || at.After(until) {
			t.Errorf("the newest log is created at %v, and the server started at %v", at, from)
		}
	}
	var all []time.Time // in the list of the store
	for offset := 0; offset < 750; offset += 100 {
		_, v := get(t, srv, fmt.Sprintf("/v2/integrations/logs?page[limit]=100&page[offset]=%d", offset))
		all = append(all, created(t, v)...)
	}
	if !slices.IsSortedFunc(all, time.Time.Compare) || len(all) != 750 || from.Sub(all[0]) > 3*time.Hour {
		t.Errorf("%d logs, from %v on", len(all), all[0])
	}
}

// created returns the times of creation of the logs of a page.
func created(t *testing.T, v map[string]any) (times []time.Time) {
	t.Helper()
	for _, r := range v["data"].([]any) {
		timestamps := r.(map[string]any)["meta"].(map[string]any)["timestamps"].(map[string]any)
		at, err := time.Parse(time.RFC3339Nano, timestamps["created_at"].(string))
		if err != nil {
			t.Fatal(err)
		}
		times = append(times, at)
	}
	return times
}

func TestSampleLogsUntil(t *testing.T) {
	end := time.Date(2026, time.May, 1, 2, 0, 0, 123, time.FixedZone("", 2*60*60))
	for i := range 4 {
		in := epcclogstest.SampleIntegration(i)
		if i == 3 {
			in.IntegrationType = "of a kind that is not known"
		}
		fixed, got := epcclogstest.SampleLogs(in.ID, 500), epcclogstest.SampleLogsUntil(in, 500, end)
		if len(got) != 500 || got[499].CreatedAt() != end.UTC() {
			t.Fatalf("%d logs, the last at %v", len(got), got[len(got)-1].CreatedAt())
		}
		queue := in.IntegrationType == "aws_sqs" || in.IntegrationType == "stomp"
		reasons := make(map[string]bool)
		for j, l := range got {
			if l.CreatedAt().Sub(got[0].CreatedAt()) != fixed[j].CreatedAt().Sub(fixed[0].CreatedAt()) {
				t.Fatalf("log %d is created at %v", j, l.CreatedAt())
			}
			if l.Succeeded != (l.ErrorDetail == "") || queue && (l.StatusCode != 0 || l.Body != "" || strings.Contains(l.ErrorDetail, "webhook")) {
				t.Fatalf("%s: %+v", in.IntegrationType, l)
			}
			if queue {
				reasons[l.ErrorDetail] = true
				l.StatusCode, l.Body, l.ErrorDetail = fixed[j].StatusCode, fixed[j].Body, fixed[j].ErrorDetail
			}
			if l.Meta = fixed[j].Meta; l != fixed[j] {
				t.Fatalf("%s: %+v\nnot %+v", in.IntegrationType, l, fixed[j])
			}
		}
		if queue && len(reasons) != 5 { // none of a success, and four
			t.Errorf("%s: %v", in.IntegrationType, reasons)
		}
	}
	if got := epcclogstest.SampleLogsUntil(epcclogstest.SampleIntegration(0), 0, end); len(got) != 0 {
		t.Error(got)
	}
}
