"""A worker that paints flat colours, a step in a seventh of a second."""

from studio.jobs import fake

if __name__ == "__main__":
    fake.main(0.15)
