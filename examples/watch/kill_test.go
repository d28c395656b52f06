package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs/epcclogstest"
)

// process starts this test binary as the program.
func process(t testing.TB, location string, args ...string) (*exec.Cmd, *output) {
	t.Helper()
	args = append([]string{"-addr", "127.0.0.1:0"}, args...)
	if !isPostgres(location) {
		args = append(args, "-db", location)
		location = ""
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), "WATCH_TEST_PROGRAM=1", "DATABASE_URL="+location)
	out := &output{}
	cmd.Stderr = out
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd, out
}

// The program is killed twenty times at random while records arrive, at one end
// of the list or the other. In the end everything is there once.
func TestKill(t *testing.T) {
	onEach(t, func(t *testing.T, location string) {
		for name, order := range map[string][]epcclogstest.Option{
			"oldest first": nil, "newest first": {epcclogstest.WithNewestFirst()},
		} {
			t.Run(name, func(t *testing.T) { killTwentyTimes(t, location, order) })
			empty(t, open(t, location))
		}
	})
}

func killTwentyTimes(t *testing.T, location string, options []epcclogstest.Option) {
	hook := epcclogstest.SampleIntegration(0)
	api := epcclogstest.NewServer(append(options, epcclogstest.WithIntegration(hook))...)
	defer api.Close()
	setenv(t, api)
	all := epcclogstest.SampleLogs(hook.ID, 5000)
	api.AddLogs(hook.ID, all...)

	var mu sync.Mutex // guards the records that arrive
	arriving := true
	arrive := func(n int) {
		for range n {
			l := epcclogstest.Log(hook.ID, fmt.Sprint("job-", len(all)/2), 1+len(all)%2, time.Now())
			api.AddLogs(hook.ID, l)
			all = append(all, l)
		}
	}
	api.OnRequest(func(int, epcclogstest.Request) { // so the list grows no faster than it is read
		mu.Lock()
		defer mu.Unlock()
		if arriving {
			arrive(1 + rand.IntN(8))
		}
	})
	s := open(t, location)
	rows := func() int { return number(t, s.db, `SELECT COUNT(*) FROM logs`) }
	var found []int
	for range 20 {
		cmd, out := process(t, location, "-interval", "100ms")
		before := rows()
		eventually(t, func() bool { return rows() > before })
		time.Sleep(rand.N(700 * time.Millisecond)) // any moment will do
		require.NoError(t, cmd.Process.Kill(), out)
		require.Error(t, cmd.Wait(), out)
		found = append(found, rows())
	}
	mu.Lock()
	arriving = false
	arrive(1) // for the last process
	mu.Unlock()
	t.Logf("records after each kill: %v of %d", found, len(all))

	cmd, out := process(t, location, "-interval", "100ms")
	eventually(t, func() bool { return rows() >= len(all) })
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, cmd.Wait(), out)
	same(t, asRows(all), stored(t, s))
}

// same compares without printing thousands of rows.
func same(t *testing.T, want, got map[string]logRow) {
	t.Helper()
	if maps.Equal(want, got) {
		return
	}
	missing := slices.DeleteFunc(slices.Collect(maps.Keys(want)), func(k string) bool { _, ok := got[k]; return ok })
	extra := slices.DeleteFunc(slices.Collect(maps.Keys(got)), func(k string) bool { _, ok := want[k]; return ok })
	assert.Fail(t, fmt.Sprintf("want %d rows, got %d: %d are missing, %d too many", len(want), len(got), len(missing), len(extra)))
}
