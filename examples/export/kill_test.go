package main

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
)

const kills = 10 // of each format

// longLogs take the program a while to write, so that it can be killed at it.
func longLogs(id string) []epcclogs.IntegrationLog {
	logs := epcclogstest.SampleLogs(id, 800)
	for i := range logs {
		logs[i].Body = strings.Repeat("say \"no\",\r\nthen go\n", i%400)
	}
	return logs
}

// The program is killed at points spread over the whole export, two thirds
// of them while it writes and the others while it waits for a page, and started again until
// it ends.
func TestKill(t *testing.T) {
	program := filepath.Join(t.TempDir(), "export.exe")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".")
	output, err := build.CombinedOutput()
	require.NoError(t, err, "%s", output)

	for name, envelope := range map[string]epcclogstest.Envelope{"jsonl": epcclogstest.Meta, "csv": epcclogstest.Links} {
		t.Run(name, func(t *testing.T) {
			sample := epcclogstest.SampleIntegration(0)
			srv := newServer(t,
				epcclogstest.WithIntegration(sample, longLogs(sample.ID)...),
				epcclogstest.WithClientCredentials("example-id", "example-secret", 0),
				epcclogstest.WithEnvelope(envelope),
				epcclogstest.WithLatency(time.Millisecond),
			)
			start := func(path string) *exec.Cmd {
				cmd := exec.CommandContext(t.Context(), program, "-format", name, path, sample.ID)
				cmd.Env = append(os.Environ(), "EPCC_CLIENT_ID=example-id", "EPCC_CLIENT_SECRET=example-secret",
					"EPCC_API_BASE_URL="+srv.URL)
				cmd.Stderr = os.Stderr
				require.NoError(t, cmd.Start())
				return cmd
			}

			undisturbed := filepath.Join(t.TempDir(), "undisturbed")
			require.NoError(t, start(undisturbed).Wait())
			want := readFile(t, undisturbed)

			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			random := rand.New(rand.NewPCG(seed, 0))
			path := filepath.Join(t.TempDir(), "killed")
			killed, cut := 0, 0
			for range kills {
				point := size(path) + 1 + random.IntN(len(want)/kills)
				cmd := start(path)
				if random.IntN(3) == 0 { // while it waits for a page
					srv.OnRequest(func(int, epcclogstest.Request) {
						if size(path) >= point {
							_ = cmd.Process.Kill() // repeated, or it has just ended
						}
					})
				} else { // while it writes
					go func() {
						for size(path) < min(point, len(want)) && t.Context().Err() == nil {
							runtime.Gosched()
						}
						_ = cmd.Process.Kill()
					}()
				}
				_ = cmd.Wait() // an end by itself shows below
				if !cmd.ProcessState.Exited() {
					killed++
				} else {
					require.True(t, cmd.ProcessState.Success(), "the program may end before it is killed, but without an error")
				}
				srv.OnRequest(nil)

				now := readFile(t, path)
				require.True(t, strings.HasPrefix(want, now), "what is in the file is right, if not whole")
				_, complete, err := formats[name].complete(strings.NewReader(now), sample.ID)
				require.NoError(t, err)
				if int(complete) < len(now) {
					cut++
				}
			}
			require.NoError(t, start(path).Wait())
			if want != readFile(t, path) { // too long to be shown
				t.Error("the file differs from that of an undisturbed run")
			}
			t.Logf("killed %d times of %d, %d times with a record cut", killed, kills, cut)
			assert.Positive(t, killed)
		})
	}
}

// size returns 0 while there is no file.
func size(path string) int {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return int(info.Size())
}
