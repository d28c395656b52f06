package epcclogs

import (
	"context"
	"net/http"

	"github.com/epcclogs/epcclogs/internal/paging"
)

// Integration is a webhook or queue to which a store sends its events. Its member
// configuration is left out on purpose: it holds secrets, such as the keys of
// webhooks and the passwords of queues.
type Integration struct {
	ID          string `json:"id"`
	Type        string `json:"type"`
	Name        string `json:"name"`
	Description string `json:"description"`
	Enabled     bool   `json:"enabled"`
	// IntegrationType is "webhook", "aws_sqs" or "stomp" in the API's documents.
	IntegrationType string `json:"integration_type"`
	// Observes lists the names of the events sent, such as "order.created".
	Observes []string     `json:"observes"`
	Meta     ResourceMeta `json:"meta,omitzero"`
}

func (i *Integration) mark() paging.Mark {
	return paging.Mark{ID: hash([]byte(i.ID)), At: i.Meta.Timestamps.CreatedAt}
}

func (i *Integration) id() string { return i.ID }

// unmarshalLoosely decodes an integration whose meta member may have another form.
func (i *Integration) unmarshalLoosely(raw []byte) error {
	loose := struct {
		*Integration
		Meta looseMeta `json:"meta"`
	}{Integration: i}
	err := unmarshal(raw, &loose)
	i.Meta = ResourceMeta(loose.Meta)
	return err
}

// IntegrationJob is the delivery of one event to one integration. [Client.JobLogs]
// lists its attempts.
type IntegrationJob struct {
	ID   string `json:"id"`
	Type string `json:"type"`
}

func (j *IntegrationJob) mark() paging.Mark { return paging.Mark{ID: hash([]byte(j.ID))} }

func (*IntegrationJob) untimed() {}

func (j *IntegrationJob) id() string { return j.ID }

func (j *IntegrationJob) unmarshalLoosely(raw []byte) error { return unmarshal(raw, j) }

// ListIntegrations gets one page of the integrations of the store. Use
// [Client.Integrations] to get all of them.
//
// The API documents it as [List integrations].
//
// [List integrations]: https://elasticpath.dev/docs/api/integrations/list-integrations
func (c *Client) ListIntegrations(ctx context.Context, opts *ListOptions) (*Page[Integration], error) {
	return list[Integration](ctx, c, opts, "integrations")
}

// Integrations returns a pager over all integrations of the store, from
// opts.Offset on. The API documents the list as [List integrations].
//
// [List integrations]: https://elasticpath.dev/docs/api/integrations/list-integrations
func (c *Client) Integrations(opts *ListOptions) *Pager[Integration] {
	return newPager[Integration](c, opts, "integrations")
}

// GetIntegration gets one integration. An unknown one is an error that matches
// [ErrNotFound].
//
// The API documents it as [Get an integration].
//
// [Get an integration]: https://elasticpath.dev/docs/api/integrations/get-integration
func (c *Client) GetIntegration(ctx context.Context, integrationID string) (*Integration, error) {
	var r resource[Integration]
	read := func(_ http.Header, body []byte) error { return r.UnmarshalJSON(body) }
	if err := c.get(ctx, read, nil, "integrations", integrationID); err != nil {
		return nil, err
	}
	return &r.Data, nil
}

// ListIntegrationJobs gets one page of the jobs of an integration. Use
// [Client.IntegrationJobs] to get all of them. In the API's documents this list comes
// without Meta, Results and Links. An unknown integration is an error that matches
// [ErrNotFound].
//
// The API documents it as [List jobs for integration].
//
// [List jobs for integration]: https://elasticpath.dev/docs/api/integrations/list-integration-jobs
func (c *Client) ListIntegrationJobs(ctx context.Context, integrationID string, opts *ListOptions) (*Page[IntegrationJob], error) {
	return list[IntegrationJob](ctx, c, opts, "integrations", integrationID, "jobs")
}

// IntegrationJobs returns a pager over all jobs of an integration, from
// opts.Offset on. The API documents the list as [List jobs for integration].
//
// [List jobs for integration]: https://elasticpath.dev/docs/api/integrations/list-integration-jobs
func (c *Client) IntegrationJobs(integrationID string, opts *ListOptions) *Pager[IntegrationJob] {
	return newPager[IntegrationJob](c, opts, "integrations", integrationID, "jobs")
}
