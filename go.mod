module github.com/credsmith/credsmith

go 1.26.0
