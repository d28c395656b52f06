package epcclogs

// Integration is a webhook or queue that a store sends its events to. The
// member configuration is left out on purpose: it holds secrets, such as
// webhook keys and passwords of queues.
type Integration struct {
	ID          string `json:"id"`
	Type        string `json:"type"`
	Name        string `json:"name"`
	Description string `json:"description"`
	Enabled     bool   `json:"enabled"`
	// IntegrationType is "webhook", "aws_sqs" or "stomp" in the documents.
	IntegrationType string `json:"integration_type"`
	// Observes lists the names of the events sent, such as "order.created".
	Observes []string     `json:"observes"`
	Meta     ResourceMeta `json:"meta,omitzero"`
}

// IntegrationJob is the delivery of one event to one integration, with all its
// attempts.
type IntegrationJob struct {
	ID   string `json:"id"`
	Type string `json:"type"`
}
