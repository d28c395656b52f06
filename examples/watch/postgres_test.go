//go:build postgres

package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"net"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

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

// A connection goes silent, while the server can be reached: what is under way fails after
// a time, and the next goes on with another connection.
func TestSilentConnection(t *testing.T) {
	location, err := url.Parse(databases["postgres"](t))
	require.NoError(t, err)
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	var silent atomic.Pointer[atomic.Bool] // that of the connections there are
	silent.Store(new(atomic.Bool))
	server := net.JoinHostPort(location.Hostname(), location.Port())
	network := "tcp"
	if directory := location.Query().Get("host"); directory != "" {
		network, server = "unix", directory+"/.s.PGSQL.5432"
	}
	go func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			out, err := new(net.Dialer).DialContext(context.WithoutCancel(t.Context()), network, server)
			if err != nil {
				_ = in.Close()
				continue
			}
			quiet := silent.Load()
			forward := func(to, from net.Conn) {
				buffer := make([]byte, 64<<10)
				for {
					n, err := from.Read(buffer)
					if err != nil {
						_ = to.Close()
						return
					}
					if !quiet.Load() {
						_, _ = to.Write(buffer[:n])
					}
				}
			}
			go forward(in, out)
			go forward(out, in)
		}
	}()
	query := location.Query()
	query.Del("host")
	query.Set("sslmode", "disable")
	user := query.Get("user")
	query.Del("user")
	if location.User == nil {
		location.User = url.User(user)
	}
	location.Host, location.RawQuery = listener.Addr().String(), query.Encode()
	s := open(t, location.String())
	s.timeout = time.Second
	save(t, s, wholeStore, nil, place{cursor: "one"}, time.Now())

	silent.Load().Store(true)
	began := time.Now()
	_, err = s.save(t.Context(), wholeStore, nil, place{cursor: "two"}, time.Now())
	require.ErrorContains(t, err, "not done within 1s")
	_, err = s.event(t.Context(), "job")
	require.Error(t, err)
	assert.Less(t, time.Since(began), 10*time.Second)
	silent.Store(new(atomic.Bool))
	eventually(t, func() bool {
		_, err := s.save(t.Context(), wholeStore, nil, place{cursor: "three"}, time.Now())
		return err == nil
	})
	p, err := s.place(t.Context(), wholeStore)
	require.NoError(t, err)
	assert.Equal(t, "three", p.cursor)
}
