package epcclogstest

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/epcclogs/epcclogs"
)

var samples = []epcclogs.Integration{
	{
		Name:            "Order fulfilment",
		Description:     "Tells the warehouse about orders",
		IntegrationType: "webhook",
		Observes:        []string{"order.created", "order.paid", "order.fulfilled"},
	},
	{
		Name:            "Stock ledger",
		Description:     "Queues every change of stock",
		IntegrationType: "aws_sqs",
		Observes:        []string{"stock.updated", "stock.allocated"},
	},
	{
		Name:            "Customer mirror",
		Description:     "Keeps the customer database in step",
		IntegrationType: "stomp",
		Observes:        []string{"customer.created", "customer.updated", "customer.deleted"},
	},
}

// SampleIntegration returns the i-th sample integration, always the same for
// the same i. One in three is a webhook, one an SQS queue, one a STOMP broker.
func SampleIntegration(i int) epcclogs.Integration {
	g := newSampler(fmt.Sprint("integration ", i))
	kind := i % len(samples)
	if kind < 0 {
		kind += len(samples)
	}
	in := samples[kind]
	in.ID = g.uuid()
	in.Type = "integration"
	if i != kind {
		in.Name = fmt.Sprintf("%s %d", in.Name, i/len(samples)+1)
	}
	in.Enabled = i%7 != 6
	in.Observes = slices.Clone(in.Observes)
	created := time.Date(2025, time.March, 1, 0, 0, 0, 0, time.UTC).Add(g.duration(240 * 24 * time.Hour))
	in.Meta.Timestamps = epcclogs.Timestamps{
		CreatedAt: created,
		UpdatedAt: created.Add(g.duration(30 * 24 * time.Hour)),
	}
	return in
}

// SampleLogs returns n logs of a webhook with that id, the oldest first. They are
// always the same for the same id; a larger n adds logs at the end. The first is
// created on 5 January 2026, within a minute after 08:00 UTC, and each other one within
// a minute after the one before. [SampleLogsUntil] has other times and other kinds of
// integrations.
//
// About one delivery in seven fails. It is retried a few logs later with the same
// job id, up to attempt 4. The statuses are 200, 404, 500 and 503, and 0 where no
// answer was received. Most bodies are short, some have 4 KiB.
func SampleLogs(integrationID string, n int) []epcclogs.IntegrationLog {
	g := newSampler("logs " + integrationID)
	at := time.Date(2026, time.January, 5, 8, 0, 0, 0, time.UTC)
	type delivery struct {
		job      string
		attempt  int
		notUntil int // number of the record
	}
	var retries []delivery
	logs := make([]epcclogs.IntegrationLog, 0, max(n, 0))
	for i := range n {
		at = at.Add(1 + g.duration(time.Minute))
		var d delivery
		if len(retries) > 0 && retries[0].notUntil <= i {
			d, retries = retries[0], retries[1:]
		} else {
			d = delivery{job: g.uuid(), attempt: 1}
		}

		l := newLog(g.uuid(), integrationID, d.job, d.attempt, at)
		percent := 9
		if d.attempt > 1 {
			percent = 45 // what failed once often fails again
		}
		if g.below(100) < percent {
			g.failure(&l)
			if d.attempt < 4 {
				retries = append(retries, delivery{d.job, d.attempt + 1, i + 2 + g.below(8)})
			}
		} else {
			g.success(&l)
		}
		logs = append(logs, l)
	}
	return logs
}

// SampleLogsUntil returns the logs that [SampleLogs] returns for the id of the
// integration, with the same ids and jobs, but the last is created at end, and those
// of an "aws_sqs" or "stomp" integration have neither a status nor a body, and other
// reasons for failures. The words of these reasons are made up: the vendor's documents
// show none.
func SampleLogsUntil(in epcclogs.Integration, n int, end time.Time) []epcclogs.IntegrationLog {
	logs := SampleLogs(in.ID, n)
	if len(logs) == 0 {
		return logs
	}
	later := end.UTC().Sub(logs[len(logs)-1].CreatedAt())
	reasons, queue := queueErrors[in.IntegrationType]
	for i := range logs {
		l := &logs[i]
		l.Meta.Timestamps.CreatedAt = l.CreatedAt().Add(later)
		if queue {
			if !l.Succeeded {
				l.ErrorDetail = reasons[l.StatusCode]
			}
			l.StatusCode, l.Body = 0, ""
		}
	}
	return logs
}

// queueErrors are the reasons for failures of integrations that do not answer as a
// webhook does, in place of its statuses.
var queueErrors = map[string]map[int]string{
	"aws_sqs": {
		404: "AWS.SimpleQueueService.NonExistentQueue: the specified queue does not exist",
		500: "InternalError: the queue could not process the request",
		503: "RequestThrottled: too many requests to the queue",
		0:   "No response from the queue: connection timed out",
	},
	"stomp": {
		404: "ERROR frame from the broker: no such destination",
		500: "ERROR frame from the broker: the message could not be stored",
		503: "The broker closed the connection",
		0:   "No receipt from the broker: connection timed out",
	},
}

// Log returns the log of a successful delivery, created at the given time, with
// status 200 and no body. The id depends only on the arguments, so the same
// arguments give the same log. Set fields to make any other log, such as a failed
// one:
//
//	l := epcclogstest.Log(hook.ID, "job-1", 1, at)
//	l.Succeeded, l.StatusCode, l.ErrorDetail = false, 503, "The webhook answered 503"
func Log(integrationID, jobID string, attempt int, at time.Time) epcclogs.IntegrationLog {
	at = at.UTC() // as a client decodes it
	g := newSampler(fmt.Sprintf("log %q %q %d %s", integrationID, jobID, attempt, at.Format(time.RFC3339Nano)))
	l := newLog(g.uuid(), integrationID, jobID, attempt, at)
	l.Succeeded = true
	l.StatusCode = http.StatusOK
	return l
}

func newLog(id, integrationID, jobID string, attempt int, at time.Time) epcclogs.IntegrationLog {
	l := epcclogs.IntegrationLog{ID: id, Type: "integration", Attempt: attempt}
	l.Relationships.Integration.Data = epcclogs.ResourceIdentifier{ID: integrationID, Type: "integration"}
	l.Relationships.Job.Data = epcclogs.ResourceIdentifier{ID: jobID, Type: "integration-job"}
	l.Meta.Timestamps.CreatedAt = at
	return l
}

// sampler draws from a sequence that depends only on its seed.
type sampler struct{ source *rand.PCG }

func newSampler(seed string) sampler {
	h := fnv.New64a()
	_, _ = h.Write([]byte(seed))
	return sampler{rand.NewPCG(h.Sum64(), 0)}
}

// below does not use rand.Rand, whose results may change with the release of Go;
// those of the source never do.
func (g sampler) below(n int) int { return int(g.source.Uint64() % uint64(n)) }

func (g sampler) duration(below time.Duration) time.Duration {
	return time.Duration(g.source.Uint64() % uint64(below))
}

func (g sampler) uuid() string {
	high, low := g.source.Uint64(), g.source.Uint64()
	high = high&^0xf000 | 0x4000     // version 4
	low = low&^(0xc0<<56) | 0x80<<56 // variant 1
	return fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", high>>32, high>>16&0xffff, high&0xffff, low>>48, low&(1<<48-1))
}

func (g sampler) success(l *epcclogs.IntegrationLog) {
	l.Succeeded = true
	l.StatusCode = http.StatusOK
	l.ProcessingTime = g.seconds(100, 9000)
	switch p := g.below(100); {
	case p < 40: // nothing
	case p < 70:
		l.Body = "OK"
	case p < 88:
		l.Body = `{"received":true}`
	case p < 96:
		l.Body = fmt.Sprintf(`{"message":"Übernommen – danke","reference":"%s"}`, l.Relationships.Job.Data.ID)
	default:
		l.Body = filler[:200+g.below(800)]
	}
}

func (g sampler) failure(l *epcclogs.IntegrationLog) {
	// In the words of the reference page.
	l.ErrorDetail = "Received a status code outside of 2xx range - treating webhook as a fail"
	l.ProcessingTime = g.seconds(200, 60_000)
	switch p := g.below(100); {
	case p < 25:
		l.StatusCode = http.StatusNotFound
		l.Body = "Not Found"
	case p < 55:
		l.StatusCode = http.StatusInternalServerError
		l.Body = "panic: runtime error: \"order\" is nil\n\n" + filler[:g.below(2000)]
	case p < 60:
		l.StatusCode = http.StatusInternalServerError
		l.Body = filler // 4 KiB, where the service stops reading
	case p < 80:
		l.StatusCode = http.StatusServiceUnavailable
		l.Body = "<html><body><h1>503 Service Unavailable</h1></body></html>"
	default:
		l.ErrorDetail = "No response from the webhook: connection timed out"
		l.ProcessingTime = g.seconds(100_000, 100_900)
	}
}

// seconds takes its bounds in tenths of a millisecond, to which the service
// rounds.
func (g sampler) seconds(from, to int) float64 {
	return float64(from+g.below(to-from)) / 10_000
}

// filler is 4 KiB of text such as servers print when they fail.
var filler = strings.Repeat("at handler.deliver (/srv/hooks/handler.js:118:23)\n\tat queue.next <anonymous>\n", 64)[:4096]
