//go:build postgres

package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// With the tag postgres each test also runs on the server at TEST_DATABASE_URL,
// in a database of its own.
func init() {
	databases["postgres"] = func(t testing.TB) string {
		location, err := url.Parse(os.Getenv("TEST_DATABASE_URL"))
		require.NoError(t, err)
		require.NotEmpty(t, location.Scheme, "TEST_DATABASE_URL is not set")
		db, err := sql.Open("pgx", location.String())
		require.NoError(t, err)
		name := "watch_" + strings.ToLower(rand.Text())
		_, err = db.ExecContext(t.Context(), `CREATE DATABASE `+name)
		require.NoError(t, err)
		t.Cleanup(func() {
			_, err := db.ExecContext(context.WithoutCancel(t.Context()), `DROP DATABASE `+name+` WITH (FORCE)`)
			assert.NoError(t, err)
			assert.NoError(t, db.Close())
		})
		location.Path = "/" + name
		return location.String()
	}
}
