package epcclogs

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/epcclogs/epcclogs/internal/paging"
)

// IntegrationLog is the record of one attempt to deliver an event to an
// integration. JSON members that are not listed here are ignored. A member that is
// null or missing leaves its field at the zero value. A log without an id cannot be
// read; see [DecodeError].
type IntegrationLog struct {
	// ID identifies the record, but the API does not promise that it is unique. Use
	// [IntegrationLog.Key] to tell records apart.
	ID string `json:"id"`
	// Type is "integration" or "integration-log", depending on the API's document. Do
	// not branch on it.
	Type string `json:"type"`
	// Succeeded tells whether the event was delivered.
	Succeeded bool `json:"succeeded"`
	// Attempt is the number of this attempt in its job, from 1.
	Attempt int `json:"attempt"`
	// ProcessingTime is in seconds; 0 if not sent.
	ProcessingTime float64 `json:"processing_time,omitempty"`
	// Body is the response of the integration; JSON text if the API sends JSON that is
	// no string. It may hold personal data.
	Body string `json:"body"`
	// StatusCode is the HTTP status of that response; 0 if there was none, or if the
	// integration is not a webhook.
	StatusCode int `json:"status_code"`
	// ErrorDetail is the reason for a failure; empty after a success.
	ErrorDetail string `json:"error_detail"`
	// Relationships hold the ids that [IntegrationLog.IntegrationID] and
	// [IntegrationLog.JobID] return.
	Relationships LogRelationships `json:"relationships"`
	// Meta holds the time at which the record was written; see
	// [IntegrationLog.CreatedAt].
	Meta ResourceMeta `json:"meta,omitzero"`
}

func (l *IntegrationLog) id() string { return l.ID }

// unmarshalLoosely decodes a log with numbers as strings, JSON as text, or a meta
// member in another form.
func (l *IntegrationLog) unmarshalLoosely(raw []byte) error {
	loose := struct {
		*IntegrationLog
		Attempt        number    `json:"attempt"`
		StatusCode     number    `json:"status_code"`
		ProcessingTime number    `json:"processing_time"`
		Body           text      `json:"body"`
		ErrorDetail    text      `json:"error_detail"`
		Meta           looseMeta `json:"meta"`
	}{IntegrationLog: l}
	err := unmarshal(raw, &loose)
	if err != nil {
		return err
	}
	if l.Attempt, err = loose.Attempt.int(); err != nil {
		return err
	}
	l.StatusCode, err = loose.StatusCode.int()
	l.ProcessingTime = float64(loose.ProcessingTime)
	l.Body, l.ErrorDetail, l.Meta = string(loose.Body), string(loose.ErrorDetail), ResourceMeta(loose.Meta)
	return err
}

// IntegrationID returns the id of the integration that was called; empty if not
// sent.
func (l IntegrationLog) IntegrationID() string { return l.Relationships.Integration.Data.ID }

// JobID returns the id of the job; empty if not sent. All attempts to deliver one
// event to one integration have the same job.
func (l IntegrationLog) JobID() string { return l.Relationships.Job.Data.ID }

// CreatedAt returns when the record was written; the zero time if not sent.
func (l IntegrationLog) CreatedAt() time.Time { return l.Meta.Timestamps.CreatedAt }

// Key returns a text that tells the record apart from all others, for a primary key
// or an idempotency key. It is the same whenever the record is read, and in all
// releases: 32 hexadecimal digits, made of ID, IntegrationID, JobID, Attempt and
// CreatedAt, because an ID alone may repeat.
func (l IntegrationLog) Key() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %d %s", l.ID, l.IntegrationID(), l.JobID(), l.Attempt,
		l.CreatedAt().UTC().Format(time.RFC3339Nano)))
	return hex.EncodeToString(sum[:16])
}

// mark hashes what Key is made of.
func (l *IntegrationLog) mark() paging.Mark {
	var buf [256]byte
	b := buf[:0]
	for _, id := range []string{l.ID, l.IntegrationID(), l.JobID()} {
		b = binary.AppendUvarint(b, uint64(len(id)))
		b = append(b, id...)
	}
	at := l.CreatedAt()
	b = binary.AppendVarint(b, int64(l.Attempt))
	b = binary.AppendVarint(b, at.Unix())
	b = binary.AppendVarint(b, int64(at.Nanosecond()))
	return paging.Mark{ID: hash(b), At: at}
}

// LogRelationships are the resources that a log belongs to.
type LogRelationships struct {
	Integration Relationship `json:"integration"`
	Job         Relationship `json:"job"`
}

// Relationship refers to another resource.
type Relationship struct {
	Data ResourceIdentifier `json:"data"`
}

// ResourceIdentifier is the id and the type of a resource. The type of a job is
// "job" or "integration-job", depending on the API's document.
type ResourceIdentifier struct {
	ID   string `json:"id"`
	Type string `json:"type"`
}

// ResourceMeta is the meta member of a single resource.
type ResourceMeta struct {
	Timestamps Timestamps `json:"timestamps,omitzero"`
}

// Timestamps tell when a resource was created and last changed; the zero time if not
// sent, or not sent as a time.
type Timestamps struct {
	CreatedAt time.Time `json:"created_at,omitzero"`
	UpdatedAt time.Time `json:"updated_at,omitzero"`
}

// ListIntegrationLogs gets one page of the logs of an integration. Use
// [Client.IntegrationLogs] to get all of them.
// An unknown integration is an error that matches [ErrNotFound].
//
// The API documents it as [List logs for integration].
//
// [List logs for integration]: https://elasticpath.dev/docs/api/integrations/list-integration-logs
func (c *Client) ListIntegrationLogs(ctx context.Context, integrationID string, opts *ListOptions) (*Page[IntegrationLog], error) {
	return list[IntegrationLog](ctx, c, opts, "integrations", integrationID, "logs")
}

// IntegrationLogs returns a pager over all logs of an integration, from
// opts.Offset on. The API documents the list as [List logs for integration].
//
// [List logs for integration]: https://elasticpath.dev/docs/api/integrations/list-integration-logs
func (c *Client) IntegrationLogs(integrationID string, opts *ListOptions) *Pager[IntegrationLog] {
	return newPager[IntegrationLog](c, opts, "integrations", integrationID, "logs")
}

// ListStoreLogs gets one page of the logs of all integrations of the store. Use
// [Client.StoreLogs] to get all of them.
//
// The API documents it as [List logs for all integrations for the store].
//
// [List logs for all integrations for the store]: https://elasticpath.dev/docs/api/integrations/list-store-logs
func (c *Client) ListStoreLogs(ctx context.Context, opts *ListOptions) (*Page[IntegrationLog], error) {
	return list[IntegrationLog](ctx, c, opts, "integrations", "logs")
}

// StoreLogs returns a pager over all logs of all integrations of the store, from
// opts.Offset on. The API documents the list as
// [List logs for all integrations for the store].
//
// [List logs for all integrations for the store]: https://elasticpath.dev/docs/api/integrations/list-store-logs
func (c *Client) StoreLogs(opts *ListOptions) *Pager[IntegrationLog] {
	return newPager[IntegrationLog](c, opts, "integrations", "logs")
}

// ListJobLogs gets one page of the logs of a job: the attempts to deliver one
// event to one integration. Use [Client.JobLogs] to get all of them. An unknown
// integration or job is an error that matches [ErrNotFound].
//
// The API documents it as [List logs for the job].
//
// [List logs for the job]: https://elasticpath.dev/docs/api/integrations/list-job-logs
func (c *Client) ListJobLogs(ctx context.Context, integrationID, jobID string, opts *ListOptions) (*Page[IntegrationLog], error) {
	return list[IntegrationLog](ctx, c, opts, "integrations", integrationID, "jobs", jobID, "logs")
}

// JobLogs returns a pager over all logs of a job, from opts.Offset on. The API
// documents the list as [List logs for the job].
//
// [List logs for the job]: https://elasticpath.dev/docs/api/integrations/list-job-logs
func (c *Client) JobLogs(integrationID, jobID string, opts *ListOptions) *Pager[IntegrationLog] {
	return newPager[IntegrationLog](c, opts, "integrations", integrationID, "jobs", jobID, "logs")
}

// looseMeta is a ResourceMeta whose members may have any form. Those that cannot be
// read are zero.
type looseMeta ResourceMeta

func (m *looseMeta) UnmarshalJSON(raw []byte) error {
	var meta struct {
		Timestamps json.RawMessage `json:"timestamps"`
	}
	var timestamps struct {
		CreatedAt looseTime `json:"created_at"`
		UpdatedAt looseTime `json:"updated_at"`
	}
	if json.Unmarshal(raw, &meta) == nil && json.Unmarshal(meta.Timestamps, &timestamps) == nil {
		m.Timestamps = Timestamps{CreatedAt: timestamps.CreatedAt.Time, UpdatedAt: timestamps.UpdatedAt.Time}
	}
	return nil
}
