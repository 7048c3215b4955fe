"""A worker that paints flat colours: a step in a seventh of a second, the second time quickly."""

from studio.jobs import fake

if __name__ == "__main__":
    fake.main(lambda message: 0.15 if message.token == 1 else 0.01)
