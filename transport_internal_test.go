package epcclogs

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A connection of HTTP/2 that has died is shared by all requests. It must be
// found out within one attempt, or every retry would take it again.
func TestDeadConnectionIsFoundWithinAnAttempt(t *testing.T) {
	config := newTransport().HTTP2
	require.NotNil(t, config)
	assert.Positive(t, config.SendPingTimeout)
	assert.Positive(t, config.PingTimeout)
	assert.Less(t, config.SendPingTimeout+config.PingTimeout, defaultTimeout)
}
