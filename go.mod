module github.com/epcclogs/epcclogs

go 1.24
