package main

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/epcclogs/epcclogs"
)

// format is a way to write logs, each of them ended by a newline.
type format struct {
	header string // the first line of the file; empty when there is none
	begin  string // how every record begins
	quoted bool   // a newline between quotes is part of the record

	write       func(w io.Writer, logs []epcclogs.IntegrationLog) error
	integration func(record []byte) (id string, err error) // also checks the record
}

func formatOf(path, name string) (format, error) {
	if name == "" {
		name = strings.TrimPrefix(filepath.Ext(path), ".")
		if name == "" {
			return format{}, fmt.Errorf("the file %q has no extension that tells the format", path)
		}
	}
	switch strings.ToLower(name) {
	case "jsonl":
		return jsonLines, nil
	case "csv":
		return commaSeparated, nil
	}
	return format{}, fmt.Errorf("unknown format %q", name)
}

// next reads one record, its newline included. At the end of the file it returns
// what is left: nothing, or a record that was cut.
func (f format) next(r *bufio.Reader) (record []byte, cut bool, err error) {
	quotes := 0
	for {
		line, err := r.ReadBytes('\n')
		record = append(record, line...)
		if errors.Is(err, io.EOF) {
			return record, true, nil
		}
		// Quotes within quotes are doubled, so that outside of them, and there
		// only, the number of all quotes before is even.
		quotes += bytes.Count(line, []byte{'"'})
		if err != nil || !f.quoted || quotes%2 == 0 {
			return record, false, err
		}
	}
}

// jsonLines has the API's JSON of a log in each line. JSON text written by
// package json holds no newline.
var jsonLines = format{
	begin: `{"id":"`,
	write: func(w io.Writer, logs []epcclogs.IntegrationLog) error {
		lines := json.NewEncoder(w)
		for _, l := range logs {
			if err := lines.Encode(l); err != nil {
				return err
			}
		}
		return nil
	},
	integration: func(record []byte) (string, error) {
		var l epcclogs.IntegrationLog
		if err := json.Unmarshal(record, &l); err != nil {
			return "", err
		}
		if again, err := json.Marshal(l); err != nil || !bytes.Equal(again, bytes.TrimSuffix(record, []byte{'\n'})) {
			return "", errors.New("not written by this program")
		}
		return l.IntegrationID(), nil
	},
}

// commaSeparated is CSV as RFC 4180 describes it, but with lines that end in LF.
var commaSeparated = format{
	header: "id,created_at,succeeded,attempt,status_code,processing_time,integration_id,job_id,error_detail,body\n",
	quoted: true,
	write: func(w io.Writer, logs []epcclogs.IntegrationLog) error {
		lines := csv.NewWriter(w)
		for _, l := range logs {
			created := ""
			if t := l.CreatedAt(); !t.IsZero() {
				created = t.Format(time.RFC3339Nano)
			}
			err := lines.Write([]string{
				l.ID,
				created,
				strconv.FormatBool(l.Succeeded),
				strconv.Itoa(l.Attempt),
				strconv.Itoa(l.StatusCode),
				strconv.FormatFloat(l.ProcessingTime, 'f', -1, 64),
				l.IntegrationID(),
				l.JobID(),
				l.ErrorDetail,
				l.Body,
			})
			if err != nil {
				return err
			}
		}
		lines.Flush()
		return lines.Error()
	},
	integration: func(record []byte) (string, error) {
		c := csv.NewReader(bytes.NewReader(record))
		c.FieldsPerRecord = 10
		fields, err := c.Read()
		if err != nil {
			return "", err
		}
		return fields[6], nil
	},
}
