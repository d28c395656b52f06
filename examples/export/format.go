package main

import (
	"encoding/csv"
	"encoding/json"
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
	name   string
	header string // the first line of the file; empty when there is none
	write  func(w io.Writer, logs []epcclogs.IntegrationLog) error
}

// formatOf returns the format with that name; if it is empty, the one that the
// extension of the file names. raw is for CSV only.
func formatOf(path, name string, raw bool) (format, error) {
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
		if raw {
			return rawCommaSeparated, nil
		}
		return commaSeparated, nil
	}
	return format{}, fmt.Errorf("unknown format %q", name)
}

// jsonLines has the API's JSON of a log in each line. JSON text written by
// package json holds no newline.
var jsonLines = format{
	name: "jsonl",
	write: func(w io.Writer, logs []epcclogs.IntegrationLog) error {
		lines := json.NewEncoder(w)
		for _, l := range logs {
			if err := lines.Encode(l); err != nil {
				return err
			}
		}
		return nil
	},
}

// Both are CSV as RFC 4180 describes it, but with lines that end in LF. Spreadsheets
// take cells that begin with = + - or @ for formulas, which may send what is in other
// cells elsewhere; an apostrophe in front makes them text.
var (
	commaSeparated    = csvFormat("csv with apostrophes", asText)
	rawCommaSeparated = csvFormat("csv", func(cell string) string { return cell })
)

// asText returns the cell so that no spreadsheet takes it for a formula.
func asText(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}

func csvFormat(name string, written func(cell string) string) format {
	return format{
		name:   name,
		header: "id,created_at,succeeded,attempt,status_code,processing_time,integration_id,job_id,error_detail,body\n",
		write: func(w io.Writer, logs []epcclogs.IntegrationLog) error {
			return writeCSV(w, logs, written)
		},
	}
}

func writeCSV(w io.Writer, logs []epcclogs.IntegrationLog, written func(cell string) string) error {
	lines := csv.NewWriter(w)
	for _, l := range logs {
		created := ""
		if t := l.CreatedAt(); !t.IsZero() {
			created = t.Format(time.RFC3339Nano)
		}
		cells := []string{
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
		}
		for i, cell := range cells {
			cells[i] = written(cell)
		}
		if err := lines.Write(cells); err != nil {
			return err
		}
	}
	lines.Flush()
	return lines.Error()
}
