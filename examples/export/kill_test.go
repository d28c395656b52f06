package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
)

// kills is how often the program is killed at each list: once at each of the moments of program.kill.
const kills = 3

// longLogs take the program a while to write, so that it can be killed at it.
func longLogs(id string) []epcclogs.IntegrationLog {
	logs := epcclogstest.SampleLogs(id, 800)
	for i := range logs {
		logs[i].Body = strings.Repeat("say \"no\",\r\nthen go\n", i%400)
	}
	return logs
}

// asProgram is the variable that makes the test binary the program.
const asProgram = "EXPORT_IS_THE_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main() // which exits
	}
	os.Exit(m.Run())
}

// program is the program, to be run on a service and killed.
type program struct {
	srv    *epcclogstest.Server
	random *rand.Rand
	args   []string // but the file and the id
	id     string
	kills  int
}

func (p *program) start(t *testing.T, path string) *exec.Cmd {
	t.Helper()
	binary, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), binary, append(slices.Clone(p.args), path, p.id)...)
	cmd.Env = append(os.Environ(), asProgram+"=true", "EPCC_CLIENT_ID=example-id", "EPCC_CLIENT_SECRET=example-secret",
		"EPCC_API_BASE_URL="+p.srv.URL, "GOCOVERDIR="+t.TempDir())
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	return cmd
}

// kill starts the program and kills it within the next step bytes of the file: in
// turn while it waits for a page, while it writes, and while it saves the place.
// It reports whether the program did not end before. onRequest is called for each
// request meanwhile.
func (p *program) kill(t *testing.T, path string, step int, onRequest func()) bool {
	t.Helper()
	moment := p.kills % 3
	p.kills++
	point := size(path) + 1 + p.random.IntN(step)
	cmd := p.start(t, path)
	kill := func() { _ = cmd.Process.Kill() } // the program may have just ended
	p.srv.OnRequest(func(int, epcclogstest.Request) {
		onRequest()
		if moment == 0 && size(path) >= point {
			kill()
		}
	})
	ended, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		if moment == 0 {
			return
		}
		for size(path) < point || moment == 2 && size(path+".cursor.new") == 0 {
			select {
			case <-ended:
				return
			default:
				time.Sleep(20 * time.Microsecond)
			}
		}
		kill()
	}()
	_ = cmd.Wait() // how it ended shows below
	close(ended)
	<-watched
	p.srv.OnRequest(nil)
	if cmd.ProcessState.Exited() {
		require.True(t, cmd.ProcessState.Success(), "the program may end before it is killed, but without an error")
		return false
	}
	return true
}

func TestKill(t *testing.T) {
	t.Parallel()
	t.Run("jsonl", func(t *testing.T) { killWhileTheListStands(t, "jsonl", epcclogstest.Meta) })
	t.Run("csv", func(t *testing.T) { killWhileTheListStands(t, "csv", epcclogstest.Links) })
	t.Run("oldest first", func(t *testing.T) { killWhileTheListMoves(t) })
	t.Run("newest first", func(t *testing.T) { killWhileTheListMoves(t, epcclogstest.WithNewestFirst()) })
}

// The list stands still: the file must be that of an undisturbed run, byte for
// byte, and what is in it meanwhile a part of that.
func killWhileTheListStands(t *testing.T, format string, envelope epcclogstest.Envelope) {
	t.Parallel()
	sample := epcclogstest.SampleIntegration(0)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	p := &program{
		srv: newServer(t,
			epcclogstest.WithIntegration(sample, longLogs(sample.ID)...),
			epcclogstest.WithClientCredentials("example-id", "example-secret", 0),
			epcclogstest.WithEnvelope(envelope),
			epcclogstest.WithLatency(time.Millisecond),
		),
		random: rand.New(rand.NewPCG(seed, 0)),
		args:   []string{"-format", format, "-n", "2"},
		id:     sample.ID,
	}
	undisturbed := filepath.Join(t.TempDir(), "undisturbed")
	require.NoError(t, p.start(t, undisturbed).Wait())
	want := readFile(t, undisturbed)

	path := filepath.Join(t.TempDir(), "killed")
	killed, more := 0, 0
	for range kills {
		if p.kill(t, path, len(want)/kills, func() {}) {
			killed++
		}
		require.True(t, strings.HasPrefix(want, readFile(t, path)), "what is in the file is right, if not whole")
		if int64(size(path)) > savedSize(t, path) {
			more++
		}
	}
	require.NoError(t, p.start(t, path).Wait())
	if want != readFile(t, path) { // too long to be shown
		t.Error("the file differs from that of an undisturbed run")
	}
	t.Logf("killed %d times of %d, %d times with more in the file than the place says", killed, kills, more)
	assert.Positive(t, killed)
}

// The list moves while the program is killed again and again: with each request,
// records arrive and the oldest expire. Once the list stands still, the file must
// hold every record that is in it exactly once, and no expired one twice.
func killWhileTheListMoves(t *testing.T, order ...epcclogstest.Option) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	list := &movingList{id: "moving", random: rand.New(rand.NewPCG(seed, 1))}
	p := &program{
		srv: newServer(t, append(order,
			epcclogstest.WithIntegration(epcclogs.Integration{ID: list.id}, list.arrivals(1000)...),
			epcclogstest.WithClientCredentials("example-id", "example-secret", 0),
			epcclogstest.WithLatency(time.Millisecond),
		)...),
		random: random,
		args:   []string{"-n", "4"},
		id:     list.id,
	}
	list.srv = p.srv
	path := filepath.Join(t.TempDir(), "moving.jsonl")
	killed := 0
	// At first all records are new to the file, and then those of each round.
	for range 2 {
		list.let(true)
		for range kills {
			list.add(100)
			if p.kill(t, path, 100_000, list.move) {
				killed++
			}
		}
		list.let(false)
		require.NoError(t, p.start(t, path).Wait())
	}

	times := make(map[string]int)
	for line := range strings.Lines(readFile(t, path)) {
		var l epcclogs.IntegrationLog
		require.NoError(t, json.Unmarshal([]byte(line), &l))
		times[l.ID]++
		require.Equal(t, 1, times[l.ID], "record %s", l.JobID())
	}
	var lost []string
	p.srv.RemoveLogs(list.id, func(l epcclogs.IntegrationLog) bool {
		if times[l.ID] == 0 {
			lost = append(lost, l.JobID())
		}
		return false
	})
	if len(lost) > 0 {
		t.Errorf("%d records are lost, among them %s and %s", len(lost), lost[0], lost[len(lost)-1])
	}
	t.Logf("killed %d times of %d; %d records arrived, %d expired, %d are in the file",
		killed, 2*kills, list.arrived, list.expired, len(times))
	assert.Positive(t, killed)
}

// movingList makes records arrive and expire.
type movingList struct {
	srv    *epcclogstest.Server
	id     string
	random *rand.Rand

	mu               sync.Mutex
	moves            bool
	arrived, expired int
}

// let says whether the list moves. Requests of a killed program may still be
// answered after its end: they must not change a list that stands still.
func (m *movingList) let(move bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.moves = move
}

// arrivals returns n new logs.
func (m *movingList) arrivals(n int) []epcclogs.IntegrationLog {
	first := time.Date(2026, time.January, 5, 8, 0, 0, 0, time.UTC)
	logs := make([]epcclogs.IntegrationLog, n)
	for i := range logs {
		logs[i] = epcclogstest.Log(m.id, fmt.Sprintf("job-%d", m.arrived), 1, first.Add(time.Duration(m.arrived)*time.Second))
		m.arrived++
	}
	return logs
}

// add makes n records arrive.
func (m *movingList) add(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.srv.AddLogs(m.id, m.arrivals(n)...)
}

// move changes the list as a store does between two requests.
func (m *movingList) move() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.moves {
		return
	}
	m.srv.AddLogs(m.id, m.arrivals(m.random.IntN(6))...)
	oldest := m.random.IntN(4)
	m.expired += m.srv.RemoveLogs(m.id, func(epcclogs.IntegrationLog) bool {
		oldest--
		return oldest >= 0
	})
}

// savedSize returns the size of the part of a file that its place says is right,
// 0 when there is no place yet.
func savedSize(t *testing.T, path string) int64 {
	t.Helper()
	var saved place
	text, err := os.ReadFile(path + ".cursor")
	if errors.Is(err, fs.ErrNotExist) {
		return 0
	}
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &saved))
	return saved.Size
}

// size returns 0 while there is no file.
func size(path string) int {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return int(info.Size())
}
