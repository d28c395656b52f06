package epcclogstest

import (
	"time"

	"github.com/epcclogs/epcclogs"
)

// The JSON has types of its own. If it were encoded from those that clients decode
// into, a wrong name would be wrong on both sides, and no test would see it.

type logJSON struct {
	ID             string            `json:"id"`
	Type           string            `json:"type"`
	Succeeded      bool              `json:"succeeded"`
	Attempt        int               `json:"attempt"`
	ProcessingTime float64           `json:"processing_time,omitempty"`
	Body           string            `json:"body"`
	StatusCode     int               `json:"status_code"`
	ErrorDetail    string            `json:"error_detail"`
	Relationships  relationshipsJSON `json:"relationships"`
	Meta           metaJSON          `json:"meta,omitzero"`
}

type relationshipsJSON struct {
	Integration relationshipJSON `json:"integration"`
	Job         relationshipJSON `json:"job"`
}

type relationshipJSON struct {
	Data identifierJSON `json:"data"`
}

type identifierJSON struct {
	ID   string `json:"id"`
	Type string `json:"type"`
}

type metaJSON struct {
	Timestamps timestampsJSON `json:"timestamps"`
}

// timestampsJSON has text, since a time with a year above 9999 has no JSON.
type timestampsJSON struct {
	CreatedAt string `json:"created_at,omitempty"`
	UpdatedAt string `json:"updated_at,omitempty"`
}

func renderLog(l *epcclogs.IntegrationLog) logJSON {
	return logJSON{
		ID: l.ID, Type: l.Type, Succeeded: l.Succeeded, Attempt: l.Attempt, ProcessingTime: l.ProcessingTime,
		Body: l.Body, StatusCode: l.StatusCode, ErrorDetail: l.ErrorDetail,
		Relationships: relationshipsJSON{
			relationshipJSON{identifierJSON(l.Relationships.Integration.Data)},
			relationshipJSON{identifierJSON(l.Relationships.Job.Data)},
		},
		Meta: renderMeta(l.Meta),
	}
}

type integrationJSON struct {
	ID              string            `json:"id"`
	Type            string            `json:"type"`
	Name            string            `json:"name"`
	Description     string            `json:"description"`
	Enabled         bool              `json:"enabled"`
	IntegrationType string            `json:"integration_type"`
	Observes        []string          `json:"observes"`
	Configuration   map[string]string `json:"configuration"`
	Links           map[string]string `json:"links"`
	Meta            metaJSON          `json:"meta,omitzero"`
}

// renderIntegration adds a configuration with a made-up secret, because the
// service sends one, and clients must not show it.
func renderIntegration(in epcclogs.Integration) integrationJSON {
	return integrationJSON{
		ID: in.ID, Type: in.Type, Name: in.Name, Description: in.Description, Enabled: in.Enabled,
		IntegrationType: in.IntegrationType, Observes: append([]string{}, in.Observes...),
		Configuration: map[string]string{"url": "https://example.com/hook", "secret_key": "not-a-real-secret"},
		Links:         map[string]string{"self": "/integrations/" + in.ID},
		Meta:          renderMeta(in.Meta),
	}
}

func renderJob(id string) identifierJSON { return identifierJSON{id, "integration-job"} }

// renderMeta has the times that are set.
func renderMeta(m epcclogs.ResourceMeta) (meta metaJSON) {
	text := func(at time.Time) string {
		if at.IsZero() {
			return ""
		}
		return at.Format(time.RFC3339Nano)
	}
	meta.Timestamps = timestampsJSON{text(m.Timestamps.CreatedAt), text(m.Timestamps.UpdatedAt)}
	return meta
}
