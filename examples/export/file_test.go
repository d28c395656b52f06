package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
)

// stopped returns the content of a whole export of the list, and of a file and
// its cursor file as a run leaves them that ended after the first page.
func stopped(t *testing.T, srv *epcclogstest.Server, id string, form format) (whole, begun, cursor string) {
	t.Helper()
	client := newClient(t, srv, epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: 1}))
	onePageAtATime := func(path string) error { // so that no request is under way at the end
		_, _, err := export(t.Context(), client.IntegrationLogs(id, nil), id, path, form, time.Time{}, func(int, int) {})
		return err
	}
	path := filepath.Join(t.TempDir(), "whole")
	require.NoError(t, onePageAtATime(path))
	whole = readFile(t, path)

	path = filepath.Join(t.TempDir(), "begun")
	srv.FailRequest(2, epcclogstest.GatewayPage(http.StatusBadGateway))
	require.Error(t, onePageAtATime(path))
	return whole, readFile(t, path), readFile(t, path+".cursor")
}

// A run that is killed while it writes leaves, behind the place that it saved
// last, any part of what it wrote. The next run must make the file whole.
func TestResumeAtEveryByte(t *testing.T) {
	t.Parallel()
	for name, envelope := range map[string]epcclogstest.Envelope{"jsonl": epcclogstest.Meta, "csv": epcclogstest.Links} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			form, logs := formats[name], oddLogs("odd")[:3]
			srv := newServer(t, epcclogstest.WithEnvelope(envelope), epcclogstest.WithMaxLimit(2),
				epcclogstest.WithIntegration(epcclogs.Integration{ID: "odd"}, logs...))
			whole, begun, cursor := stopped(t, srv, "odd", form)
			require.True(t, strings.HasPrefix(whole, begun))
			require.Less(t, len(begun), len(whole))

			client := newClient(t, srv)
			path := filepath.Join(t.TempDir(), "logs")
			for cut := len(begun); cut <= len(whole); cut++ {
				require.NoError(t, os.WriteFile(path, []byte(whole[:cut]), 0o600))
				require.NoError(t, os.WriteFile(path+".cursor", []byte(cursor), 0o600))
				before, records, err := exportLogs(t, client, "odd", path, form)
				require.NoError(t, err, "cut at %d: %q", cut, whole[:cut])
				require.Equal(t, []int{2, len(logs)}, []int{before, records})
				require.Equal(t, whole, readFile(t, path), "cut at %d: %q", cut, whole[:cut])
			}
		})
	}
}

// A run that is killed before it saves a cursor leaves an empty file or one
// without a record that counts.
func TestKilledAtTheBeginning(t *testing.T) {
	id := epcclogstest.SampleIntegration(0).ID
	client := newClient(t, newServer(t))
	for _, content := range []string{"", commaSeparated.header + "cut"} {
		path := filepath.Join(t.TempDir(), "logs")
		f := &exportFile{path: path, form: commaSeparated, place: place{
			Version: placeVersion, Integration: id, Format: commaSeparated.name, Writing: true,
		}}
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		if content != "" {
			require.NoError(t, f.save())
		}
		before, records, err := exportLogs(t, client, id, path, commaSeparated)
		require.NoError(t, err)
		assert.Equal(t, []int{0, 250}, []int{before, records})
		assert.Regexp(t, "^"+commaSeparated.header+`[0-9a-f]{8}-`, readFile(t, path))
	}
}

// What is no file is left as it is, nothing is made beside it, and nothing is sent.
func TestNoRegularFile(t *testing.T) {
	srv, dir := newServer(t), t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.NoError(t, os.Symlink(file, link)) // as /dev/stdout is
	for _, path := range []string{os.DevNull, dir, link} {
		_, _, err := exportLogs(t, newClient(t, srv), "id", path, jsonLines)
		require.ErrorContains(t, err, path+" is not a regular file")
		require.NoFileExists(t, path+".cursor")
	}
	assert.Empty(t, srv.Requests())
}

// Files that do not belong together are left as they are, and nothing is sent.
func TestUnrelatedFiles(t *testing.T) {
	id := epcclogstest.SampleIntegration(0).ID
	srv := newServer(t)
	whole, begun, cursor := stopped(t, srv, id, jsonLines)
	ended := strings.Replace(cursor, `"writing":true`, `"writing":false`, 1)
	require.NotEqual(t, cursor, ended)
	sent := len(srv.Requests())

	changed := begun[:len(begun)-10] + "X" + begun[len(begun)-9:]
	for _, tc := range []struct{ content, cursor, message string }{
		{"Dear diary", "", "was not written by this program, or "},
		{begun, "", "was not written by this program, or "},
		{"", cursor, "and 0 are there"},
		{begun[:len(begun)-1], cursor, "bytes were written, and "},
		{begun, strings.Replace(cursor, `"size":`, `"size":-`, 1), "bytes were written, and "},
		{changed, cursor, "the end was changed"},
		{strings.Repeat("x", len(whole)), cursor, "the end was changed"},
		{begun + "a note\n", ended, "something was added"},
		{begun, "{", "cannot be read"},
		{begun, strings.Replace(cursor, `"version":1`, `"version":2`, 1), "has version 2"},
		{begun, strings.Replace(cursor, id, "another", 1), "hold logs of integration another"},
		{begun, strings.Replace(cursor, `"format":"jsonl"`, `"format":"csv"`, 1), "the format is csv"},
		{begun, spoilt(cursor), "cursor"},
	} {
		path := filepath.Join(t.TempDir(), "file")
		require.NoError(t, os.WriteFile(path, []byte(tc.content), 0o600))
		if tc.cursor != "" {
			require.NoError(t, os.WriteFile(path+".cursor", []byte(tc.cursor), 0o600))
		}
		_, _, err := exportLogs(t, newClient(t, srv), id, path, jsonLines)
		require.ErrorContains(t, err, tc.message)
		require.ErrorContains(t, err, "choose another file")
		assert.Equal(t, tc.content, readFile(t, path))
		if tc.cursor != "" {
			assert.Equal(t, tc.cursor, readFile(t, path+".cursor"))
		}
	}
	assert.Len(t, srv.Requests(), sent)
}

// spoilt returns a cursor file with a cursor that is none.
func spoilt(cursor string) string {
	return strings.Replace(cursor, `"cursor":"`, `"cursor":"spoilt`, 1)
}

// A file that went away is not begun again behind the user's back.
func TestMissingFile(t *testing.T) {
	id := epcclogstest.SampleIntegration(0).ID
	srv := newServer(t)
	path := filepath.Join(t.TempDir(), "logs")
	_, _, err := exportLogs(t, newClient(t, srv), id, path, jsonLines)
	require.NoError(t, err)
	require.NoError(t, os.Remove(path))
	_, _, err = exportLogs(t, newClient(t, srv), id, path, jsonLines)
	require.ErrorContains(t, err, "do not belong together")
	assert.NoFileExists(t, path)
}

func TestBadFile(t *testing.T) {
	srv := newServer(t)
	for _, path := range []string{t.TempDir(), filepath.Join(t.TempDir(), "no-such-folder", "logs")} {
		_, _, err := exportLogs(t, newClient(t, srv), epcclogstest.SampleIntegration(0).ID, path, jsonLines)
		require.Error(t, err)
	}
}

// The bodies of the logs may hold personal data.
func TestOnlyTheOwnerReads(t *testing.T) {
	path := filepath.Join(t.TempDir(), "logs")
	_, _, err := exportLogs(t, newClient(t, newServer(t)), epcclogstest.SampleIntegration(0).ID, path, jsonLines)
	require.NoError(t, err)
	for _, name := range []string{path, path + ".cursor"} {
		info, err := os.Stat(name)
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
}
