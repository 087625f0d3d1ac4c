"""From public data sets to nnU-Net datasets: conversion, audit of labels, splits, tables."""
