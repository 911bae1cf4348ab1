-- Run once, when the volume of PostgreSQL is new.
CREATE DATABASE mlflow;
CREATE DATABASE dagster;
CREATE DATABASE records;
